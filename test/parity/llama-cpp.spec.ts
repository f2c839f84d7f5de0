import { mkdtempSync } from 'node:fs';
import { readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { repositoryRoot } from '@pangalactic/contracts';
import { GgmlType } from '@pangalactic/models';
import {
  LlamaCppPeer,
  peerAvailable,
  type RandomModelShape,
  writeF32Copy,
  writeRandomModel,
} from '@pangalactic/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  compareWithLlamaCpp,
  continueWithLlamaCpp,
  describeComparison,
  forceAlong,
  randomPrompts,
  type Tolerance,
} from './compare-with-llama-cpp';
import { ForcedModel } from './forced-model';

const TOKENS = 64;
const PROMPTS = 8;
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
 * With float32 weights only the order of sums differs. For quantised weights both engines round activations to 8 bits,
 * each in its own way: each is as far from the exact result as they are from each other. Measured largest and mean:
 * 6.6e-5 and 6.0e-6 for F32, 0.41 and 0.069 for Q8_0, 0.39 and 0.068 for Q4_0.
 */
const TOLERANCE = {
  F32: { largest: 1e-4, mean: 1e-5 },
  Q8_0: { largest: 0.5, mean: 0.08 },
  Q4_0: { largest: 0.5, mean: 0.08 },
} satisfies Record<string, Tolerance>;

/** In how many of a case's 512 steps another token may win at a near-tie; measured 0, 7 and 31. */
const NEAR_TIES = { F32: 0, nano: 16, random: 48 };

interface ParityCase {
  readonly name: string;
  readonly create: () => Promise<string>;
  readonly prompts: () => Promise<number[][]>;
  readonly tolerance: Tolerance;
  readonly nearTies: number;
}

/** The real model answers real questions. */
const nanoCase = (name: string, create: () => Promise<string>, format: keyof typeof TOLERANCE): ParityCase => ({
  ...{ name, create, prompts: goldenPrompts, tolerance: TOLERANCE[format] },
  nearTies: format === 'F32' ? NEAR_TIES.F32 : NEAR_TIES.nano,
});
/** Shapes that the real model does not have. */
const randomCase = (
  name: string,
  change: Partial<RandomModelShape>,
  format: keyof typeof TOLERANCE = 'F32',
): ParityCase => ({
  ...{
    name,
    create: random(change, GgmlType[format]),
    prompts: () => Promise.resolve(randomPrompts(PROMPTS, SHAPE.vocabSize)),
    tolerance: TOLERANCE[format],
  },
  nearTies: format === 'F32' ? NEAR_TIES.F32 : NEAR_TIES.random,
});

const cases: ParityCase[] = [
  nanoCase('pangalactic-nano-f16 as F32', nanoAsF32, 'F32'),
  nanoCase('pangalactic-nano, Q8_0', nano('pangalactic-nano.gguf'), 'Q8_0'),
  nanoCase('pangalactic-nano-q4_0', nano('pangalactic-nano-q4_0.gguf'), 'Q4_0'),
  randomCase('as many kv heads as heads', { kvHeads: 4 }),
  randomCase('tied embeddings', { tiedEmbeddings: true }),
  randomCase('a head size of its own', { headSize: 48 }),
  randomCase('random Q8_0', { headSize: 64 }, 'Q8_0'),
  randomCase('random Q4_0', { kvHeads: 1 }, 'Q4_0'),
];

async function goldenPrompts(): Promise<number[][]> {
  const golden = JSON.parse(await readFile(join(models, 'golden/golden-f16.json'), 'utf8')) as {
    cases: { prompt_ids: number[] }[];
  };
  return golden.cases.map(({ prompt_ids }) => prompt_ids);
}

// Elsewhere the float64 goldens in models/golden, which the engine's own specs compare with, stand for llama.cpp.
describe.runIf(`${process.platform}-${process.arch}` === 'linux-x64')('parity with llama.cpp', () => {
  let peer: LlamaCppPeer;

  beforeAll(() => {
    expect(peerAvailable(), 'llama.cpp is missing: run `node test/peer/install.mjs`').toBe(true);
    peer = LlamaCppPeer.start();
  });
  afterAll(async () => {
    await peer?.close();
    await rm(folder, { recursive: true, force: true });
  });

  it.each(cases)('$name', async ({ name, create, prompts, tolerance, nearTies }) => {
    const path = await create();
    const ours = await ForcedModel.open(path, join(folder, 'cache'));
    const continuations = await continueWithLlamaCpp(peer, path, await prompts(), TOKENS);
    const comparison = compareWithLlamaCpp(continuations, await forceAlong(ours, continuations));
    await ours.close();
    console.info(`${name}: ${describeComparison(comparison)}`);
    const { steps, largest, mean, otherChoices } = comparison;
    expect(steps).toBeGreaterThanOrEqual(PROMPTS * TOKENS);
    expect(largest).toBeLessThan(tolerance.largest);
    expect(mean).toBeLessThan(tolerance.mean);
    expect(otherChoices.filter((gap) => gap >= 2 * tolerance.largest)).toEqual([]);
    expect(otherChoices.length).toBeLessThanOrEqual(nearTies);
  });
});
