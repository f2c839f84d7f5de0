import { PangalacticError } from '@pangalactic/contracts';
import { type GgufHeader, MetadataReader, type PreTokenizer, tokenizerKind } from '@pangalactic/models';
import { mergeNeighbours } from '../merge-neighbours';
import type { Steps } from '../steps';
import type { TextCodec } from '../text-codec';
import type { Vocabulary } from '../vocabulary';
import { readBytes, spellBytes } from './byte-alphabet';
import { PRE_TOKENIZER_PATTERNS, splitWords } from './pre-tokenizers';

/** Merges that are read between two yields: about a millisecond. */
const MERGES_PER_STEP = 2048;
/** Characters of words between two yields: well under a millisecond. */
const CHARACTERS_PER_STEP = 256;
const SYMBOLS_PER_STEP = 512;
/** Longer words seldom come twice. */
const LONGEST_REMEMBERED_WORD = 32;

interface BpeModel {
  readonly preTokenizer: PreTokenizer;
  readonly ignoresMerges: boolean;
  /** By the two spellings with a space between them, which no spelling has: the lower, the earlier they merge. */
  readonly mergeRanks: ReadonlyMap<string, number>;
}

/** GPT-2's tokenizer, `tokenizer.ggml.model` = `gpt2`: a text is cut into words, and the bytes of each merge pair by pair. */
export class ByteLevelBpeCodec implements TextCodec {
  readonly addsSpace = false;

  private constructor(
    private readonly model: BpeModel,
    private readonly vocabulary: Vocabulary,
  ) {}

  /** @throws PangalacticError `unsupported_tokenizer`, `corrupt_model_file` */
  static *read(header: GgufHeader, vocabulary: Vocabulary): Steps<ByteLevelBpeCodec> {
    const metadata = new MetadataReader(header.metadata);
    const kind = tokenizerKind(metadata);
    if (kind.algorithm !== 'byte-level-bpe') throw new TypeError(`a vocabulary of ${kind.algorithm}`);
    const merges = metadata.strings('tokenizer.ggml.merges');
    if (!merges) throw new PangalacticError('corrupt_model_file', 'tokenizer.ggml.merges is missing');
    return new ByteLevelBpeCodec({ ...kind, mergeRanks: yield* rankMerges(merges) }, vocabulary);
  }

  *encode(text: string): Steps<number[]> {
    const ids: number[] = [];
    const known = new Map<string, readonly number[]>();
    let work = 0;
    for (const word of splitWords(text, PRE_TOKENIZER_PATTERNS[this.model.preTokenizer])) {
      let wordIds = known.get(word);
      if (!wordIds) {
        wordIds = yield* this.encodeWord(spellBytes(Buffer.from(word, 'utf8')));
        if (word.length <= LONGEST_REMEMBERED_WORD) known.set(word, wordIds);
      }
      for (const id of wordIds) ids.push(id);
      work += word.length;
      if (work >= CHARACTERS_PER_STEP) {
        work = 0;
        yield;
      }
    }
    return ids;
  }

  bytes(id: number): Uint8Array {
    return readBytes(this.vocabulary.text(id));
  }

  private *encodeWord(spelling: string): Steps<number[]> {
    const whole = this.model.ignoresMerges ? this.vocabulary.pieceId(spelling) : undefined;
    if (whole !== undefined) return [whole];
    const { mergeRanks } = this.model;
    const everyByte = new Int32Array(spelling.length + 1);
    for (let index = 0; index < everyByte.length; index++) everyByte[index] = index;
    const starts = yield* mergeNeighbours(everyByte, (start, middle, end) =>
      mergeRanks.get(`${spelling.slice(start, middle)} ${spelling.slice(middle, end)}`),
    );

    const ids: number[] = [];
    for (let symbol = 0; symbol + 1 < starts.length; symbol++) {
      this.appendSymbol(spelling.slice(starts[symbol], starts[symbol + 1]), ids);
      if (symbol % SYMBOLS_PER_STEP === SYMBOLS_PER_STEP - 1) yield;
    }
    return ids;
  }

  /** A symbol that is no token is spelled byte by byte; a byte that the vocabulary lacks is lost, as in llama.cpp. */
  private appendSymbol(symbol: string, ids: number[]): void {
    const id = this.vocabulary.pieceId(symbol);
    if (id !== undefined) ids.push(id);
    else if (symbol.length > 1) for (const byte of symbol) this.appendSymbol(byte, ids);
  }
}

/** Of a merge that is listed twice the first counts. */
function* rankMerges(merges: readonly string[]): Steps<Map<string, number>> {
  const ranks = new Map<string, number>();
  for (const [rank, merge] of merges.entries()) {
    if (!ranks.has(merge)) ranks.set(merge, rank);
    if (rank % MERGES_PER_STEP === MERGES_PER_STEP - 1) yield;
  }
  return ranks;
}
