import { mkdtempSync } from 'node:fs';
import { readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { repositoryRoot } from '@pangalactic/contracts';
import { GgmlType } from '@pangalactic/models';
import {
  LlamaCppPeer,
  peerAvailable,
  type Prediction,
  type RandomModelShape,
  writeF32Copy,
  writeRandomModel,
} from '@pangalactic/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ForcedModel } from './forced-model';

const TOKENS = 64;
/** Tokens of each step that are compared: those that can become the answer. */
const COMPARED = 5;
const SHAPE: RandomModelShape = {
  ...{ layers: 3, hiddenSize: 128, heads: 4, kvHeads: 2, headSize: 32, feedForwardSize: 256 },
  ...{ vocabSize: 512, contextLength: 256, tiedEmbeddings: false },
};

const models = join(repositoryRoot(), 'models');
const folder = mkdtempSync(join(tmpdir(), 'pangalactic-parity-'));

const nano = (file: string) => async () => join(models, file);
const nanoAsF32 = async () => {
  const path = join(folder, 'nano-f32.gguf');
  await writeF32Copy(join(models, 'pangalactic-nano-f16.gguf'), path);
  return path;
};
const random = (change: Partial<RandomModelShape>, type: GgmlType) => async () => {
  const path = join(folder, `random-${JSON.stringify(change).replaceAll(/\W+/g, '-')}-${GgmlType[type]}.gguf`);
  await writeRandomModel(path, { ...SHAPE, ...change }, { seed: 11, type });
  return path;
};

/**
 * The largest and the mean difference in log-probability that a format may show. With float32 weights only the order of
 * sums differs; for quantised weights both engines round activations to 8 bits, each in its own way.
 */
const TOLERANCE = { f32: { largest: 2e-4, mean: 2e-5 }, quantised: { largest: 0.7, mean: 0.07 } };

interface ParityCase {
  readonly name: string;
  readonly tolerance: { readonly largest: number; readonly mean: number };
  readonly create: () => Promise<string>;
}

const cases: ParityCase[] = [
  { name: 'pangalactic-nano-f16 as F32', tolerance: TOLERANCE.f32, create: nanoAsF32 },
  { name: 'pangalactic-nano, Q8_0', tolerance: TOLERANCE.quantised, create: nano('pangalactic-nano.gguf') },
  { name: 'pangalactic-nano-q4_0', tolerance: TOLERANCE.quantised, create: nano('pangalactic-nano-q4_0.gguf') },
  { name: 'as many kv heads as heads', tolerance: TOLERANCE.f32, create: random({ kvHeads: 4 }, GgmlType.F32) },
  { name: 'tied embeddings', tolerance: TOLERANCE.f32, create: random({ tiedEmbeddings: true }, GgmlType.F32) },
  { name: 'a head size of its own', tolerance: TOLERANCE.f32, create: random({ headSize: 48 }, GgmlType.F32) },
  { name: 'random Q8_0', tolerance: TOLERANCE.quantised, create: random({ headSize: 64 }, GgmlType.Q8_0) },
  { name: 'random Q4_0', tolerance: TOLERANCE.quantised, create: random({ kvHeads: 1 }, GgmlType.Q4_0) },
];

async function goldenPrompts(): Promise<number[][]> {
  const golden = JSON.parse(await readFile(join(models, 'golden/golden-f16.json'), 'utf8')) as {
    cases: { prompt_ids: number[] }[];
  };
  // The random models know only the first tokens.
  return golden.cases.map(({ prompt_ids }) => prompt_ids.map((id) => id % SHAPE.vocabSize));
}

interface Comparison {
  readonly differences: number[];
  /** How far apart the reference's two best tokens were where ours chose another one. */
  readonly disagreementGaps: number[];
}

function compare(reference: readonly Prediction[], ours: readonly Float64Array[], result: Comparison): void {
  reference.forEach(({ id, gap, top }, step) => {
    const row = ours[step]!;
    for (const { id: candidate, logProbability } of top.slice(0, COMPARED)) {
      result.differences.push(Math.abs(row[candidate]! - logProbability));
    }
    if (row.some((logProbability) => logProbability > row[id]!)) result.disagreementGaps.push(gap);
  });
}

// Elsewhere the float64 goldens in models/golden, which the engine's own specs compare with, stand for llama.cpp.
describe.runIf(`${process.platform}-${process.arch}` === 'linux-x64')('parity with llama.cpp', () => {
  let peer: LlamaCppPeer;
  let prompts: number[][];

  beforeAll(async () => {
    expect(peerAvailable(), 'llama.cpp is missing: run `node test/peer/install.mjs`').toBe(true);
    prompts = await goldenPrompts();
    expect(prompts.length).toBeGreaterThanOrEqual(8);
    peer = LlamaCppPeer.start();
  });
  afterAll(async () => {
    await peer?.close();
    await rm(folder, { recursive: true, force: true });
  });

  it.each(cases)('$name', async ({ name, tolerance, create }) => {
    const path = await create();
    const ours = await ForcedModel.open(path, join(folder, 'cache'));
    const result: Comparison = { differences: [], disagreementGaps: [] };
    for (const promptIds of prompts) {
      const reference = await peer.generate(path, promptIds, TOKENS);
      expect(reference).toHaveLength(TOKENS);
      const forcedIds = reference.map(({ id }) => id);
      compare(reference, await ours.logProbabilities(promptIds, forcedIds), result);
    }
    await ours.close();
    const { differences, disagreementGaps } = result;
    const largest = Math.max(...differences);
    const mean = differences.reduce((a, b) => a + b) / differences.length;
    console.info(
      `${name}: largest ${largest.toExponential(1)}, mean ${mean.toExponential(1)}, ${disagreementGaps.length} near-ties`,
    );
    expect(largest).toBeLessThan(tolerance.largest);
    expect(mean).toBeLessThan(tolerance.mean);
    for (const gap of disagreementGaps) expect(gap).toBeLessThan(2 * largest);
  });
});
