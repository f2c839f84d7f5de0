import { mkdtempSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { GgmlType } from '@pangalactic/models';
import {
  float32,
  LlamaCppPeer,
  peerAvailable,
  type RandomModelOptions,
  type RandomModelShape,
  text,
  uint32,
  writeRandomModel,
} from '@pangalactic/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  compareWithLlamaCpp,
  continueWithLlamaCpp,
  describeComparison,
  forceAlong,
  randomPrompts,
} from './compare-with-llama-cpp';
import { ForcedModel } from './forced-model';

const PROMPTS = 4;
const TOKENS = 32;
const SHAPE: RandomModelShape = {
  ...{ layers: 3, hiddenSize: 128, heads: 4, kvHeads: 2, headSize: 32, feedForwardSize: 256 },
  ...{ vocabSize: 512, contextLength: 128, tiedEmbeddings: false },
};

/** With float32 weights only the order of sums differs; measured: largest 6.6e-5, mean 6.0e-6. */
const TOLERANCE = { largest: 1e-4, mean: 1e-5 };

interface ArchitectureCase {
  readonly name: string;
  readonly change: Partial<RandomModelShape>;
  readonly metadata?: RandomModelOptions['metadata'];
}

const cases: ArchitectureCase[] = [
  { name: 'llama with rope factors (3.1)', change: { ropeFactors: true, tiedEmbeddings: true } },
  { name: 'llama with linear rope scaling', change: {}, metadata: { 'llama.rope.scaling.factor': float32(4) } },
  {
    name: 'llama with rope scaling that is switched off',
    change: {},
    metadata: { 'llama.rope.scaling.factor': float32(4), 'llama.rope.scaling.type': text('none') },
  },
  {
    name: 'qwen2 with YaRN',
    change: { architecture: 'qwen2' },
    metadata: {
      'qwen2.rope.scaling.type': text('yarn'),
      'qwen2.rope.scaling.factor': float32(4),
      'qwen2.rope.scaling.original_context_length': uint32(32),
    },
  },
  { name: 'qwen2 with tied embeddings', change: { architecture: 'qwen2', tiedEmbeddings: true, kvHeads: 1 } },
  { name: 'qwen3', change: { architecture: 'qwen3', headSize: 48 } },
  { name: 'qwen3 with tied embeddings', change: { architecture: 'qwen3', tiedEmbeddings: true } },
];

describe.runIf(peerAvailable())('architectures against llama.cpp', () => {
  const folder = mkdtempSync(join(tmpdir(), 'pangalactic-parity-architectures-'));
  const prompts = randomPrompts(PROMPTS, SHAPE.vocabSize);
  let peer: LlamaCppPeer;

  beforeAll(() => {
    peer = LlamaCppPeer.start();
  });
  afterAll(async () => {
    await peer?.close();
    await rm(folder, { recursive: true, force: true });
  });

  it.each(cases)('$name, in one stage and in three', async ({ name, change, metadata = {} }) => {
    const path = join(folder, `${name}.gguf`);
    await writeRandomModel(path, { ...SHAPE, ...change }, { seed: 11, type: GgmlType.F32, metadata });
    const continuations = await continueWithLlamaCpp(peer, path, prompts, TOKENS);
    const one = await ForcedModel.open(path, join(folder, 'cache'));
    const three = await ForcedModel.open(path, join(folder, 'cache'), { cuts: [1, 2] });
    const rows = await forceAlong(one, continuations);
    const rowsOfThree = await forceAlong(three, continuations);
    for (const model of [one, three]) await model.close();

    const comparison = compareWithLlamaCpp(continuations, rows);
    console.info(`${name}: ${describeComparison(comparison)}`);
    expect(rowsOfThree).toEqual(rows);
    expect(comparison.otherChoices).toEqual([]);
    expect(comparison.largest).toBeLessThan(TOLERANCE.largest);
    expect(comparison.mean).toBeLessThan(TOLERANCE.mean);
  });
});
