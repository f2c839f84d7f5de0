import { PangalacticError } from '@pangalactic/contracts';
import { quote } from '../gguf/errors';
import type { MetadataReader } from '../gguf/metadata-reader';

/** How byte-level BPE cuts a text into words before it merges their bytes: the model that made the way known. */
export type PreTokenizer = 'default' | 'gpt2' | 'llama3' | 'qwen2' | 'smollm' | 'tekken' | 'seed-coder';

export type TokenizerKind = SentencePieceKind | ByteLevelBpeKind;

interface SentencePieceKind {
  readonly algorithm: 'sentencepiece';
  /** What files without `tokenizer.ggml.add_bos_token` mean. */
  readonly addsBos: boolean;
}

interface ByteLevelBpeKind {
  readonly algorithm: 'byte-level-bpe';
  readonly addsBos: boolean;
  readonly preTokenizer: PreTokenizer;
  /** A word that is a token is that token, whatever the merges would make of it. */
  readonly ignoresMerges: boolean;
}

/** The names of `tokenizer.ggml.pre` and what they mean in llama.cpp (llama-vocab.cpp), for the architectures we run. */
const BYTE_LEVEL_BPE: ReadonlyMap<string, ByteLevelBpeKind> = new Map([
  ...named(['default'], { preTokenizer: 'default' }),
  ...named(['gpt-2', 'olmo', 'a.x-4.0'], { preTokenizer: 'gpt2' }),
  ...named(['llama-bpe', 'llama3', 'llama-v3', 'falcon3', 'pixtral', 'midm-2.0'], {
    preTokenizer: 'llama3',
    ignoresMerges: true,
    addsBos: true,
  }),
  ...named(['smaug-bpe'], { preTokenizer: 'llama3' }),
  ...named(['qwen2', 'deepseek-r1-qwen', 'megrez'], { preTokenizer: 'qwen2' }),
  ...named(['smollm', 'starcoder', 'refact', 'minerva-7b'], { preTokenizer: 'smollm' }),
  ...named(['tekken'], { preTokenizer: 'tekken', ignoresMerges: true, addsBos: true }),
  ...named(['seed-coder'], { preTokenizer: 'seed-coder' }),
]);

/** Values of `tokenizer.ggml.pre` that can be served. */
export const PRE_TOKENIZER_NAMES: readonly string[] = [...BYTE_LEVEL_BPE.keys()];

/** The kind of vocabulary that a model has. @throws PangalacticError `unsupported_tokenizer` */
export function tokenizerKind(metadata: MetadataReader): TokenizerKind {
  const model = metadata.string('tokenizer.ggml.model');
  if (model === 'llama') return { algorithm: 'sentencepiece', addsBos: true };
  if (model !== 'gpt2') throw unsupported('tokenizer.ggml.model', model, ['llama', 'gpt2']);
  const name = metadata.string('tokenizer.ggml.pre') ?? 'default';
  const kind = BYTE_LEVEL_BPE.get(name);
  if (!kind) throw unsupported('tokenizer.ggml.pre', name, PRE_TOKENIZER_NAMES);
  return kind;
}

/** Tokens that have a key of their own, `tokenizer.ggml.<name>_token_id`. */
export type TokenName = 'bos' | 'eos' | 'eot' | 'eom' | 'unknown' | 'fim_pad' | 'fim_rep' | 'fim_sep';

/** What SentencePiece vocabularies mean when their metadata is silent. Byte-level BPE has no usual ids. */
const SENTENCEPIECE_IDS: Readonly<Partial<Record<TokenName, number>>> = { bos: 1, eos: 2, unknown: 0 };

/** Converters write -1 for "none": an id outside the vocabulary counts as absent. */
export function readTokenId(metadata: MetadataReader, name: TokenName, vocabularySize: number): number | undefined {
  const usual = tokenizerKind(metadata).algorithm === 'sentencepiece' ? SENTENCEPIECE_IDS[name] : undefined;
  const candidates = [metadata.number(`tokenizer.ggml.${name}_token_id`), usual];
  return candidates.find((id) => id !== undefined && Number.isInteger(id) && id >= 0 && id < vocabularySize);
}

function named(
  names: readonly string[],
  kind: Pick<ByteLevelBpeKind, 'preTokenizer'> & Partial<ByteLevelBpeKind>,
): [string, ByteLevelBpeKind][] {
  return names.map((name) => [name, { algorithm: 'byte-level-bpe', addsBos: false, ignoresMerges: false, ...kind }]);
}

function unsupported(key: string, found: string | undefined, allowed: readonly string[]): PangalacticError {
  const value = found === undefined ? 'is missing' : `is ${quote(found)}`;
  return new PangalacticError('unsupported_tokenizer', `${key} ${value}: allowed: ${allowed.join(', ')}`);
}
