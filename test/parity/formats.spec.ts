import { mkdtempSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { GgmlType, OUTPUT_HEAD, TOKEN_EMBEDDING } from '@pangalactic/models';
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
  meanDifference,
  randomPrompts,
  type Tolerance,
} from './compare-with-llama-cpp';
import { ForcedModel } from './forced-model';

const PROMPTS = 4;
const TOKENS = 32;
/** Rows of whole blocks of 256. */
const SHAPE: RandomModelShape = {
  ...{ layers: 3, hiddenSize: 256, heads: 4, kvHeads: 2, headSize: 64, feedForwardSize: 256 },
  ...{ vocabSize: 512, contextLength: 128, tiedEmbeddings: false },
};

/** Which tensors of a Q4_K_M or Q5_K_M file have 6 bits: of the layers half, here the first. */
const SIX_BITS = [OUTPUT_HEAD, 'blk.0.attn_v.weight', 'blk.0.ffn_down.weight'];
const mostly = (type: GgmlType) => (tensor: string) => (SIX_BITS.includes(tensor) ? GgmlType.Q6_K : type);
/** What takes the place of 4 and 6 bits in such a file where a row is no whole number of blocks of 256. */
const withoutWholeBlocks = (tensor: string) => (SIX_BITS.includes(tensor) ? GgmlType.Q8_0 : GgmlType.Q5_0);

interface Format {
  readonly name: string;
  readonly type: GgmlType | ((tensor: string) => GgmlType);
  readonly tolerance: Tolerance;
}

/**
 * With quantised weights both engines round activations to 8 bits, in groups of their own; llama.cpp's have 256 values for
 * K-quants and 32 for the others, ours are those of the weights. F16 and BF16 go with activations of 16 bits in llama.cpp
 * and with float32 here. docs/models.md has what was measured.
 */
const HALVES: Tolerance = { largest: 0.2, mean: 0.04 };
const GROUPS_OF_32: Tolerance = { largest: 0.6, mean: 0.12 };
const GROUPS_OF_256: Tolerance = { largest: 1.2, mean: 0.2 };

const formats: Format[] = [
  { name: 'F16', type: GgmlType.F16, tolerance: HALVES },
  { name: 'BF16', type: GgmlType.BF16, tolerance: HALVES },
  { name: 'Q8_0', type: GgmlType.Q8_0, tolerance: GROUPS_OF_32 },
  { name: 'Q4_0', type: GgmlType.Q4_0, tolerance: GROUPS_OF_32 },
  { name: 'Q4_1', type: GgmlType.Q4_1, tolerance: GROUPS_OF_32 },
  { name: 'Q5_0', type: GgmlType.Q5_0, tolerance: GROUPS_OF_32 },
  { name: 'Q5_1', type: GgmlType.Q5_1, tolerance: GROUPS_OF_32 },
  { name: 'Q4_K', type: GgmlType.Q4_K, tolerance: GROUPS_OF_256 },
  { name: 'Q5_K', type: GgmlType.Q5_K, tolerance: GROUPS_OF_256 },
  { name: 'Q6_K', type: GgmlType.Q6_K, tolerance: GROUPS_OF_256 },
  { name: 'Q4_K_M', type: mostly(GgmlType.Q4_K), tolerance: GROUPS_OF_256 },
  { name: 'Q5_K_M', type: mostly(GgmlType.Q5_K), tolerance: GROUPS_OF_256 },
  { name: 'Q4_K_M of narrow rows', type: withoutWholeBlocks, tolerance: GROUPS_OF_32 },
];
/** How much further from the exact result than llama.cpp's the engine's may be on average. */
const MOST_OF_THEIR_ERROR = 1.2;

const singleTypes = formats.flatMap(({ name, type }) => (typeof type === 'function' ? [] : [{ name, type }]));

describe.runIf(peerAvailable())('tensor types against llama.cpp', () => {
  const folder = mkdtempSync(join(tmpdir(), 'pangalactic-parity-formats-'));
  const prompts = randomPrompts(PROMPTS, SHAPE.vocabSize);
  const open = (path: string, cuts: readonly number[] = []) => ForcedModel.open(path, join(folder, 'cache'), { cuts });
  let peer: LlamaCppPeer;

  beforeAll(() => {
    peer = LlamaCppPeer.start();
  });
  afterAll(async () => {
    await peer?.close();
    await rm(folder, { recursive: true, force: true });
  });

  it.each(formats)('computes with $name as llama.cpp does, in one stage and in three', async (format) => {
    const { name, type, tolerance } = format;
    const path = join(folder, `${name}.gguf`);
    await writeRandomModel(path, SHAPE, { seed: 11, type });
    await writeF32Copy(path, `${path}.f32`);
    const continuations = await continueWithLlamaCpp(peer, path, prompts, TOKENS);
    const [one, three, exact] = [await open(path), await open(path, [1, 2]), await open(`${path}.f32`)];
    const rows = await forceAlong(one, continuations);
    const rowsOfThree = await forceAlong(three, continuations);
    const exactRows = await forceAlong(exact, continuations);
    for (const model of [one, three, exact]) await model.close();

    const comparison = compareWithLlamaCpp(continuations, rows);
    // The weights in float32, of which both engines' results differ by what they round.
    const theirError = compareWithLlamaCpp(continuations, exactRows).mean;
    const ourError = meanDifference(continuations, rows, exactRows);
    console.info(
      `${name}: ${describeComparison(comparison)}; mean error ${ourError.toExponential(1)}, ` +
        `of llama.cpp ${theirError.toExponential(1)}`,
    );
    expect(rowsOfThree).toEqual(rows);
    expect(comparison.largest).toBeLessThan(tolerance.largest);
    expect(comparison.mean).toBeLessThan(tolerance.mean);
    expect(comparison.otherChoices.filter((gap) => gap >= 2 * tolerance.largest)).toEqual([]);
    expect(ourError).toBeLessThan(MOST_OF_THEIR_ERROR * theirError);
  });

  it.each(singleTypes)('reads the same weights out of $name as llama.cpp', async ({ name, type }) => {
    const path = join(folder, `embedding-${name}.gguf`);
    // A lookup rounds nothing, and float32 matrices show the least difference in what it finds.
    const typeOf = (tensor: string) => (tensor === TOKEN_EMBEDDING ? type : GgmlType.F32);
    await writeRandomModel(path, { ...SHAPE, layers: 1 }, { seed: 3, type: typeOf });
    const continuations = await continueWithLlamaCpp(peer, path, prompts.slice(0, 2), 8);
    const model = await open(path);
    const comparison = compareWithLlamaCpp(continuations, await forceAlong(model, continuations));
    await model.close();
    console.info(`${name}, embedding: ${describeComparison(comparison)}`);
    expect(comparison.otherChoices).toEqual([]);
    expect(comparison.largest).toBeLessThan(1e-4);
  });
});
