import { type GgufHeader, MetadataReader, tokenizerKind } from '@pangalactic/models';
import { ByteLevelBpeCodec } from './byte-level-bpe/byte-level-bpe-codec';
import { SentencePieceCodec } from './sentencepiece/sentencepiece-codec';
import { type Fragment, SpecialTokens } from './special-tokens';
import { runToEnd, type Steps } from './steps';
import type { TextCodec } from './text-codec';
import { TokenKind, Vocabulary } from './vocabulary';

const SPACE = 0x20;

export interface EncodeOptions {
  /** Adds the beginning and end of sequence that the model wants. */
  readonly addSpecial: boolean;
  /** Reads the text of a control token as that token; without it such text is plain text. */
  readonly parseSpecial: boolean;
}

/** Text to token ids and back, equal to llama.cpp for SentencePiece and byte-level BPE models. */
export class ModelTokenizer {
  readonly vocabSize: number;
  readonly bosId: number | undefined;
  /** What reads as a control token when special tokens are parsed. */
  readonly controlTexts: readonly string[];
  private readonly specialTokens: SpecialTokens;

  private constructor(
    private readonly vocabulary: Vocabulary,
    private readonly codec: TextCodec,
  ) {
    this.vocabSize = vocabulary.size;
    this.bosId = vocabulary.bosId;
    this.specialTokens = new SpecialTokens(vocabulary);
    this.controlTexts = this.specialTokens.controls.map(({ text }) => text);
  }

  /** @throws PangalacticError `unsupported_tokenizer`, `corrupt_model_file` */
  static fromGguf(header: GgufHeader): ModelTokenizer {
    return runToEnd(ModelTokenizer.read(header));
  }

  /** The same in steps: the largest vocabularies take a tenth of a second. */
  static *read(header: GgufHeader): Steps<ModelTokenizer> {
    const vocabulary = yield* Vocabulary.read(header);
    const { algorithm } = tokenizerKind(new MetadataReader(header.metadata));
    const codec =
      algorithm === 'sentencepiece'
        ? new SentencePieceCodec(header, vocabulary)
        : yield* ByteLevelBpeCodec.read(header, vocabulary);
    yield;
    return new ModelTokenizer(vocabulary, codec);
  }

  /** A lower bound on the tokens of a text, known without encoding it. */
  fewestTokens(text: string): number {
    return Math.ceil(text.length / this.vocabulary.longestToken);
  }

  encode(text: string, options: EncodeOptions): number[] {
    return runToEnd(this.encodeInSteps(text, options));
  }

  *encodeInSteps(text: string, options: EncodeOptions): Steps<number[]> {
    const fragments = yield* this.specialTokens.split(wellFormed(text), options.parseSpecial);
    const ids = yield* this.encodeFragments(fragments);
    if (!options.addSpecial) return ids;
    return [...this.vocabulary.sequenceStart, ...ids, ...this.vocabulary.sequenceEnd];
  }

  /**
   * A rendered chat template: its control texts become control tokens, then `reveal` turns the text in between into what
   * was meant, which is plain. A template may or may not write the beginning of the sequence itself.
   */
  *encodePrompt(rendered: string, reveal: (text: string) => string): Steps<number[]> {
    const fragments: Fragment[] = [];
    for (const fragment of yield* this.specialTokens.split(wellFormed(rendered), true)) {
      if (typeof fragment === 'number') fragments.push(fragment);
      else for (const part of yield* this.specialTokens.split(reveal(fragment), false)) fragments.push(part);
    }
    const ids = yield* this.encodeFragments(fragments);
    const { sequenceStart } = this.vocabulary;
    return ids[0] === sequenceStart[0] ? ids : [...sequenceStart, ...ids];
  }

  /** Without the space that encoding put before the first word. Control tokens are no text; broken UTF-8 becomes U+FFFD. */
  decode(ids: readonly number[]): string {
    const pieces = ids.map((id) => this.tokenBytes(id));
    const startsWithPrefix = this.codec.addsSpace && pieces[0]?.[0] === SPACE;
    return Buffer.concat(pieces).toString('utf8', startsWithPrefix ? 1 : 0);
  }

  /** The UTF-8 that a token stands for in the middle of a text: possibly none, possibly not whole characters. */
  tokenBytes(id: number): Uint8Array {
    switch (this.vocabulary.kind(id)) {
      case TokenKind.Normal:
      case TokenKind.Byte:
        return this.codec.bytes(id);
      case TokenKind.UserDefined:
        return Buffer.from(this.vocabulary.text(id), 'utf8');
      default:
        return new Uint8Array();
    }
  }

  /** How to show a token by itself: what is not whole characters as U+FFFD, what is no text by its name in the vocabulary. */
  tokenText(id: number): string {
    const bytes = this.tokenBytes(id);
    return bytes.length > 0 ? Buffer.from(bytes).toString('utf8') : this.vocabulary.text(id);
  }

  /** Whether the token steers the model and is no text. */
  isSpecial(id: number): boolean {
    const kind = this.vocabulary.kind(id);
    return kind === TokenKind.Control || kind === TokenKind.Unknown;
  }

  private *encodeFragments(fragments: readonly Fragment[]): Steps<number[]> {
    const ids: number[] = [];
    let startsText = true;
    for (const fragment of fragments) {
      if (typeof fragment === 'number') ids.push(fragment);
      else for (const id of yield* this.codec.encode(fragment, startsText)) ids.push(id);
      startsText = typeof fragment === 'number';
      yield;
    }
    return ids;
  }
}

/** JavaScript strings may hold half of a surrogate pair, which has no UTF-8: it counts as U+FFFD, as in every encoder. */
function wellFormed(text: string): string {
  return text.replace(/\p{Surrogate}/gu, '\uFFFD');
}
