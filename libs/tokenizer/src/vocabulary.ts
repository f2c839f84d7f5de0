import { PangalacticError } from '@pangalactic/contracts';
import { demandSentencePiece, END_OF_GENERATION_TEXTS, type GgufHeader, MetadataReader } from '@pangalactic/models';
import { readTokenId, readTokenNumbers } from './vocabulary-metadata';

/** Values of `tokenizer.ggml.token_type`. */
export enum TokenKind {
  Normal = 1,
  /** Stands for what the vocabulary cannot spell. */
  Unknown = 2,
  /** Steers the model and is no text: beginning of sequence, end of turn. */
  Control = 3,
  /** Text that is always one token, wherever it occurs. */
  UserDefined = 4,
  Unused = 5,
  /** One byte of UTF-8, spelled `<0x00>` to `<0xFF>`. */
  Byte = 6,
}

/** The pieces of a SentencePiece model, as GGUF metadata holds them. */
export class Vocabulary {
  readonly size: number;
  readonly bosId: number | undefined;
  readonly unknownId: number;
  /** In UTF-16 units: what one token stands for is never longer. */
  readonly longestToken: number;
  /** What stands around a text that is tokenised with its special tokens. */
  readonly sequenceStart: readonly number[];
  readonly sequenceEnd: readonly number[];
  /** Text starts a word: "Hello" is tokenised as " Hello". */
  readonly addSpacePrefix: boolean;

  private readonly texts: readonly string[];
  private readonly kinds: readonly TokenKind[];
  private readonly ranks: readonly number[];
  /** Only the pieces that plain text may become: no text spells a control token or a byte. */
  private readonly pieceIds = new Map<string, number>();
  private readonly byteIds = new Map<number, number>();

  /** @throws PangalacticError `unsupported_tokenizer`, `corrupt_model_file` */
  constructor(header: GgufHeader) {
    const metadata = new MetadataReader(header.metadata);
    demandSentencePiece(metadata);
    const texts = metadata.strings('tokenizer.ggml.tokens');
    if (!texts?.length) throw new PangalacticError('corrupt_model_file', 'tokenizer.ggml.tokens is missing or empty');
    this.size = texts.length;
    // llama.cpp's name for a piece without text: no input contains it by accident.
    this.texts = texts.map((text, id) => text || `[EMPTY_${id}]`);
    // At least a surrogate pair: that is what an unknown token may stand for.
    this.longestToken = this.texts.reduce((longest, text) => Math.max(longest, text.length), 2);
    this.ranks = ranksOf(
      readTokenNumbers(header.metadata, 'scores', this.size) ?? new Array<number>(this.size).fill(0),
    );
    const kinds = readTokenNumbers(header.metadata, 'token_type', this.size);
    this.kinds = this.texts.map((text, id) =>
      END_OF_GENERATION_TEXTS.has(text) ? TokenKind.Control : (kinds?.[id] ?? TokenKind.Normal),
    );
    this.indexPieces();

    this.bosId = readTokenId(metadata, 'bos', this.size);
    this.unknownId = readTokenId(metadata, 'unknown', this.size) ?? 0;
    const eosId = readTokenId(metadata, 'eos', this.size);
    const addBos = metadata.boolean('tokenizer.ggml.add_bos_token') ?? true;
    const addEos = metadata.boolean('tokenizer.ggml.add_eos_token') ?? false;
    this.sequenceStart = addBos && this.bosId !== undefined ? [this.bosId] : [];
    this.sequenceEnd = addEos && eosId !== undefined ? [eosId] : [];
    this.addSpacePrefix = metadata.boolean('tokenizer.ggml.add_space_prefix') ?? true;
  }

  text(id: number): string {
    return this.texts[this.checked(id)]!;
  }

  kind(id: number): TokenKind {
    return this.kinds[this.checked(id)]!;
  }

  /** Pieces form in the order of their ranks: 0 has the highest score, equal scores share a rank. */
  rank(id: number): number {
    return this.ranks[this.checked(id)]!;
  }

  /** The token of a piece of plain text. */
  pieceId(text: string): number | undefined {
    return this.pieceIds.get(text);
  }

  /** The token that stands for a byte, if the vocabulary can fall back to bytes. */
  byteId(byte: number): number | undefined {
    return this.byteIds.get(byte);
  }

  /** The byte that a token of kind Byte stands for. */
  byte(id: number): number {
    return Number(this.text(id).slice(1, -1));
  }

  private indexPieces(): void {
    const seen = new Map<string, number>();
    for (const [id, text] of this.texts.entries()) {
      const first = seen.get(text);
      if (first !== undefined) throw corruptToken(id, text, `has the text of token ${first}`);
      seen.set(text, id);

      const kind = this.kinds[id];
      if (kind === TokenKind.Byte) {
        if (!/^<0x[0-9A-F]{2}>$/.test(text)) throw corruptToken(id, text, 'is no byte: allowed: <0x00> to <0xFF>');
        this.byteIds.set(this.byte(id), id);
      } else if (kind !== TokenKind.Control && kind !== TokenKind.Unknown) {
        this.pieceIds.set(text, id);
      }
    }
  }

  private checked(id: number): number {
    if (Number.isInteger(id) && id >= 0 && id < this.size) return id;
    throw new PangalacticError('invalid_request', `token id ${id}: allowed: 0 to ${this.size - 1}`);
  }
}

function ranksOf(scores: readonly number[]): number[] {
  const descending = [...new Set(scores)].sort((a, b) => b - a);
  const ranks = new Map(descending.map((score, rank) => [score, rank]));
  return scores.map((score) => ranks.get(score)!);
}

function corruptToken(id: number, text: string, complaint: string): PangalacticError {
  return new PangalacticError('corrupt_model_file', `token ${id}, ${JSON.stringify(text.slice(0, 80))}, ${complaint}`);
}
