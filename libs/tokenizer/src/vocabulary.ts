import { PangalacticError } from '@pangalactic/contracts';
import { CONTROL_TEXTS, type GgufHeader, MetadataReader, readTokenId, tokenizerKind } from '@pangalactic/models';
import type { Steps } from './steps';
import { readTokenNumbers } from './vocabulary-metadata';

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

/** Tokens that are read between two yields: about a millisecond. */
const TOKENS_PER_STEP = 2048;

/** The tokens of a model, as GGUF metadata holds them, whichever way text becomes tokens. */
export class Vocabulary {
  readonly size: number;
  readonly bosId: number | undefined;
  /** What stands around a text that is tokenised with its special tokens. */
  readonly sequenceStart: readonly number[];
  readonly sequenceEnd: readonly number[];

  /** In UTF-16 units: what one token stands for is never longer. At least a surrogate pair, for an unknown token. */
  private longest = 2;
  private readonly texts: readonly string[];
  private readonly kinds: readonly TokenKind[];
  /** Only the pieces that plain text may become: no text spells a control token or a byte. */
  private readonly pieceIds = new Map<string, number>();
  private readonly otherIds = new Map<string, number>();

  private constructor(header: GgufHeader) {
    const metadata = new MetadataReader(header.metadata);
    const kind = tokenizerKind(metadata);
    const texts = metadata.strings('tokenizer.ggml.tokens');
    if (!texts?.length) throw new PangalacticError('corrupt_model_file', 'tokenizer.ggml.tokens is missing or empty');
    this.size = texts.length;
    // llama.cpp's name for a piece without text: no input contains it by accident.
    this.texts = texts.map((text, id) => text || `[EMPTY_${id}]`);
    const kinds = readTokenNumbers(header.metadata, 'token_type', this.size);
    this.kinds = this.texts.map((text, id) =>
      CONTROL_TEXTS.has(text) ? TokenKind.Control : (kinds?.[id] ?? TokenKind.Normal),
    );

    this.bosId = readTokenId(metadata, 'bos', this.size);
    const eosId = readTokenId(metadata, 'eos', this.size);
    const addBos = metadata.boolean('tokenizer.ggml.add_bos_token') ?? kind.addsBos;
    const addEos = metadata.boolean('tokenizer.ggml.add_eos_token') ?? false;
    this.sequenceStart = addBos && this.bosId !== undefined ? [this.bosId] : [];
    this.sequenceEnd = addEos && eosId !== undefined ? [eosId] : [];
  }

  /** @throws PangalacticError `unsupported_tokenizer`, `corrupt_model_file` */
  static *read(header: GgufHeader): Steps<Vocabulary> {
    const vocabulary = new Vocabulary(header);
    yield;
    yield* vocabulary.indexTexts();
    return vocabulary;
  }

  get longestToken(): number {
    return this.longest;
  }

  text(id: number): string {
    return this.texts[this.checked(id)]!;
  }

  kind(id: number): TokenKind {
    return this.kinds[this.checked(id)]!;
  }

  /** The token of a piece of plain text. */
  pieceId(text: string): number | undefined {
    return this.pieceIds.get(text);
  }

  private *indexTexts(): Steps<void> {
    for (const [id, text] of this.texts.entries()) {
      const first = this.pieceIds.get(text) ?? this.otherIds.get(text);
      if (first !== undefined) throw corruptToken(id, text, `has the text of token ${first}`);
      (isPlainText(this.kinds[id]!) ? this.pieceIds : this.otherIds).set(text, id);
      this.longest = Math.max(this.longest, text.length);
      if (id % TOKENS_PER_STEP === TOKENS_PER_STEP - 1) yield;
    }
  }

  private checked(id: number): number {
    if (Number.isInteger(id) && id >= 0 && id < this.size) return id;
    throw new PangalacticError('invalid_request', `token id ${id}: allowed: 0 to ${this.size - 1}`);
  }
}

export function corruptToken(id: number, text: string, complaint: string): PangalacticError {
  return new PangalacticError('corrupt_model_file', `token ${id}, ${JSON.stringify(text.slice(0, 80))}, ${complaint}`);
}

function isPlainText(kind: TokenKind): boolean {
  return kind !== TokenKind.Byte && kind !== TokenKind.Control && kind !== TokenKind.Unknown;
}
