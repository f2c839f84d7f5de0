import { type GgufHeader, MetadataReader, readTokenId } from '@pangalactic/models';
import { corruptToken, TokenKind, type Vocabulary } from '../vocabulary';
import { readTokenNumbers } from '../vocabulary-metadata';

/** What the pieces of a SentencePiece model have beside their texts: scores, and bytes to fall back to. */
export class SentencePieceVocabulary {
  readonly unknownId: number;
  /** Text starts a word: "Hello" is tokenised as " Hello". */
  readonly addSpacePrefix: boolean;

  private readonly ranks: readonly number[];
  private readonly byteIds = new Map<number, number>();

  /** @throws PangalacticError `corrupt_model_file` */
  constructor(
    header: GgufHeader,
    private readonly vocabulary: Vocabulary,
  ) {
    const metadata = new MetadataReader(header.metadata);
    const { size } = vocabulary;
    this.unknownId = readTokenId(metadata, 'unknown', size) ?? 0;
    this.addSpacePrefix = metadata.boolean('tokenizer.ggml.add_space_prefix') ?? true;
    this.ranks = ranksOf(readTokenNumbers(header.metadata, 'scores', size) ?? new Array<number>(size).fill(0));
    for (let id = 0; id < size; id++) if (vocabulary.kind(id) === TokenKind.Byte) this.byteIds.set(this.byte(id), id);
  }

  /** Pieces form in the order of their ranks: 0 has the highest score, equal scores share a rank. */
  rank(id: number): number {
    return this.ranks[id]!;
  }

  /** The token of a piece of plain text. */
  pieceId(text: string): number | undefined {
    return this.vocabulary.pieceId(text);
  }

  /** The token that stands for a byte, if the vocabulary can fall back to bytes. */
  byteId(byte: number): number | undefined {
    return this.byteIds.get(byte);
  }

  /** The byte that a token of kind Byte stands for. */
  byte(id: number): number {
    const text = this.vocabulary.text(id);
    if (!/^<0x[0-9A-F]{2}>$/.test(text)) throw corruptToken(id, text, 'is no byte: allowed: <0x00> to <0xFF>');
    return Number(text.slice(1, -1));
  }
}

function ranksOf(scores: readonly number[]): number[] {
  const descending = Float64Array.from(new Set(scores)).sort().reverse();
  const ranks = new Map<number, number>();
  for (const [rank, score] of descending.entries()) ranks.set(score, rank);
  return scores.map((score) => ranks.get(score)!);
}
