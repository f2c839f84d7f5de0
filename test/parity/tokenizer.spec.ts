import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { repositoryRoot } from '@pangalactic/contracts';
import { PRE_TOKENIZER_NAMES, readGgufHeader } from '@pangalactic/models';
import {
  bool,
  float32,
  float32s,
  int32s,
  LlamaCppPeer,
  peerAvailable,
  text,
  texts,
  uint32,
  writeGguf,
} from '@pangalactic/testing';
import { ModelTokenizer } from '@pangalactic/tokenizer';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { byteLevelVocabulary } from './byte-level-vocabulary';
import { fuzzTexts, fuzzWordTexts } from './fuzz-texts';

const MODEL = join(repositoryRoot(), 'models/pangalactic-nano.gguf');
/** llama.cpp's ids for the first of the texts, for platforms without it. Recorded anew by `vitest --update`. */
const GOLDEN = join(repositoryRoot(), 'models/golden/tokenizer-fuzz.json');
const GOLDEN_COUNT = 150;
const TEXTS = fuzzTexts(2000, 20_260_928);
const IS_NIGHTLY = process.env.PANGALACTIC_NIGHTLY === '1';
/** Texts for each pre-tokeniser. */
const WORD_TEXTS = fuzzWordTexts(IS_NIGHTLY ? 5_000 : 300, 20_261_126);

const OPTIONS = [
  { addSpecial: true, parseSpecial: true },
  { addSpecial: false, parseSpecial: false },
] as const;

async function tokenizerOf(path: string): Promise<ModelTokenizer> {
  return ModelTokenizer.fromGguf((await readGgufHeader(path)).header);
}

/** The texts that are tokenised differently, so that a failure shows them. */
function differences(
  tokenizer: ModelTokenizer,
  expected: readonly number[][],
  options: (typeof OPTIONS)[number],
  inputs = TEXTS,
) {
  return inputs.slice(0, expected.length).flatMap((input, index) => {
    const ids = tokenizer.encode(input, options);
    return ids.join() === expected[index]!.join() ? [] : [{ input, ids, expected: expected[index] }];
  });
}

describe.runIf(peerAvailable())('tokenizer against llama.cpp', () => {
  let peer: LlamaCppPeer;
  let directory: string;
  beforeAll(async () => {
    peer = LlamaCppPeer.start();
    directory = await mkdtemp(join(tmpdir(), 'pangalactic-tokenizer-'));
  });
  afterAll(async () => {
    await peer.close();
    await rm(directory, { recursive: true });
  });

  it.each(OPTIONS)('gives equal ids for 2,000 texts with pangalactic-nano: %o', async (options) => {
    const expected = await peer.tokenize(MODEL, TEXTS, options);
    expect(expected).toHaveLength(2000);
    expect(differences(await tokenizerOf(MODEL), expected, options)).toEqual([]);
  });

  it.each(OPTIONS)('gives equal ids with equal scores, a space prefix and user-defined tokens: %o', async (options) => {
    const path = join(directory, 'ties.gguf');
    await writeVocabularyWithTies(path);
    const expected = await peer.tokenize(path, TEXTS, options);
    const tokenizer = await tokenizerOf(path);
    expect(differences(tokenizer, expected, options)).toEqual([]);
    if (options.addSpecial) expect(expected.every(([first]) => first === tokenizer.bosId)).toBe(true);
  });

  it.each(PRE_TOKENIZER_NAMES)('gives equal ids with byte-level BPE: %s', async (name) => {
    const path = join(directory, `${name}.gguf`);
    await writeGguf(path, byteLevelVocabulary(name), []);
    const tokenizer = await tokenizerOf(path);
    for (const options of OPTIONS) {
      const expected = await peer.tokenize(path, WORD_TEXTS, options);
      expect(differences(tokenizer, expected, options, WORD_TEXTS)).toEqual([]);
      if (!options.parseSpecial) {
        expect(expected.map((ids) => tokenizer.decode(ids))).toEqual(
          WORD_TEXTS.map((input) => Buffer.from(input).toString()),
        );
      }
    }
  });

  it('still gives the recorded ids', async () => {
    const recorded = [];
    for (const options of OPTIONS) recorded.push(await peer.tokenize(MODEL, TEXTS.slice(0, GOLDEN_COUNT), options));
    const rows = recorded.map((ids) => `[\n${ids.map((row) => JSON.stringify(row)).join(',\n')}\n]`);
    await expect(`[${rows.join(',\n')}]\n`).toMatchFileSnapshot(GOLDEN);
  });
});

describe('tokenizer against recorded ids of llama.cpp', () => {
  it.each(OPTIONS.map((options, index) => ({ options, index })))(
    'equals them: $options',
    async ({ options, index }) => {
      const golden = JSON.parse(await readFile(GOLDEN, 'utf8')) as number[][][];
      expect(golden[index]).toHaveLength(GOLDEN_COUNT);
      expect(differences(await tokenizerOf(MODEL), golden[index]!, options)).toEqual([]);
    },
  );
});

/** A vocabulary in which the order of merges is decided by position, and special tokens contain each other. */
async function writeVocabularyWithTies(path: string): Promise<void> {
  const [normal, unknown, control, userDefined, byte] = [1, 2, 3, 4, 6];
  const alphabet = ['▁', 'H', 'e', 'l', 'o', 'O', 'n', 'c', 'a', 't', 'h', 'r', 'x', '1', '2', '<', '|', '>'];
  const pairs = alphabet.flatMap((left) => alphabet.map((right) => left + right)).filter((pair) => !/[|]/.test(pair));
  const words = ['▁Hello', 'Hell', 'ello', 'xxx', 'xxxx', '▁▁▁', 'there', 'ther', '▁the', '▁▁▁▁', 'Once', 'nce'];
  const bytes = Array.from({ length: 256 }, (_, value) => `<0x${value.toString(16).toUpperCase().padStart(2, '0')}>`);
  const groups: readonly (readonly [pieces: readonly string[], type: number, score: number])[] = [
    [['<unk>'], unknown, 0],
    [['<s>', '</s>', '<|im_start|>', '<|im_end|>'], control, 0],
    [bytes, byte, 0],
    [['<|im_', '[INST]', '▁▁', '🚀'], userDefined, 0],
    [alphabet, normal, -9],
    [pairs.filter((pair) => pair !== '▁▁'), normal, -1],
    [words, normal, -1],
  ];
  const rows = groups.flatMap(([pieces, type, score]) => pieces.map((piece) => ({ piece, type, score })));
  await writeGguf(
    path,
    {
      'general.architecture': text('llama'),
      'llama.context_length': uint32(64),
      'llama.embedding_length': uint32(32),
      'llama.block_count': uint32(1),
      'llama.feed_forward_length': uint32(32),
      'llama.attention.head_count': uint32(1),
      'llama.attention.layer_norm_rms_epsilon': float32(1e-5),
      'tokenizer.ggml.model': text('llama'),
      'tokenizer.ggml.tokens': texts(rows.map(({ piece }) => piece)),
      'tokenizer.ggml.scores': float32s(rows.map(({ score }) => score)),
      'tokenizer.ggml.token_type': int32s(rows.map(({ type }) => type)),
      'tokenizer.ggml.add_space_prefix': bool(true),
      'tokenizer.ggml.add_bos_token': bool(true),
    },
    [],
  );
}
