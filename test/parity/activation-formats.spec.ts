import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ActivationFormat, repositoryRoot } from '@pangalactic/contracts';
import { readyPipeline, startCluster } from '@pangalactic/testing';
import { activationCodec, connectNode } from '@pangalactic/transport';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ForcedModel } from './forced-model';

const TOKENS = 48;
/** Log probabilities compared per step: those of the likeliest tokens. */
const COMPARED = 5;
const CUTS = [1, 3, 6];
/**
 * The largest and the mean difference in log-probability that a format may make. Quantised weights go with activations of 8
 * bits inside the engine, and the least change of what it rounds shows as one of its own steps.
 */
const FLOAT_WEIGHTS = { f16: { largest: 0.02, mean: 0.002 }, int8: { largest: 0.4, mean: 0.05 } };
const QUANTISED_WEIGHTS = { f16: { largest: 0.6, mean: 0.06 }, int8: { largest: 0.7, mean: 0.09 } };

const models = join(repositoryRoot(), 'models');

async function goldenPrompts(): Promise<number[][]> {
  const golden = JSON.parse(await readFile(join(models, 'golden/golden-f16.json'), 'utf8')) as {
    cases: { prompt_ids: number[] }[];
  };
  return golden.cases.map(({ prompt_ids }) => prompt_ids);
}

interface Forced {
  readonly promptIds: readonly number[];
  readonly ids: readonly number[];
  readonly rows: readonly Float64Array[];
}

/** A model in four stages, whose hidden states travel in a format, against the same stages with hops of f32. */
describe.each([
  { model: 'pangalactic-nano-f16', tolerance: FLOAT_WEIGHTS },
  { model: 'pangalactic-nano', tolerance: QUANTISED_WEIGHTS },
  { model: 'pangalactic-nano-q4_0', tolerance: QUANTISED_WEIGHTS },
])('$model in four stages', ({ model: modelId, tolerance }) => {
  let folder: string;
  let reference: Forced[];
  const open = async (format: ActivationFormat) => {
    const codec = activationCodec(format);
    const hop = (hidden: Float32Array, tokens: number) => {
      const size = hidden.length / tokens;
      return codec.decode(codec.encode(hidden, size), tokens, size);
    };
    return ForcedModel.open(join(models, `${modelId}.gguf`), join(folder, 'cache'), { cuts: CUTS, hop });
  };

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'pangalactic-formats-'));
    const model = await open(ActivationFormat.ACTIVATION_FORMAT_F32);
    reference = [];
    for (const promptIds of await goldenPrompts()) {
      const ids = await model.greedy(promptIds, TOKENS);
      reference.push({ promptIds, ids, rows: await model.logProbabilities(promptIds, ids) });
    }
    await model.close();
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  it.each([
    { name: 'f16', format: ActivationFormat.ACTIVATION_FORMAT_F16, tolerance: tolerance.f16 },
    { name: 'int8', format: ActivationFormat.ACTIVATION_FORMAT_INT8, tolerance: tolerance.int8 },
  ])('chooses the same tokens but at near-ties: $name', async ({ name, format, tolerance }) => {
    const model = await open(format);
    const differences: number[] = [];
    const disagreementGaps: number[] = [];
    for (const { promptIds, ids, rows } of reference) {
      for (const [step, row] of (await model.logProbabilities(promptIds, ids)).entries()) {
        const expected = rows[step]!;
        const ranked = [...expected.keys()].sort((a, b) => expected[b]! - expected[a]!).slice(0, COMPARED);
        for (const id of ranked) differences.push(Math.abs(row[id]! - expected[id]!));
        if (row.indexOf(Math.max(...row)) !== ids[step]) {
          disagreementGaps.push(expected[ranked[0]!]! - expected[ranked[1]!]!);
        }
      }
    }
    await model.close();
    const largest = Math.max(...differences);
    const mean = differences.reduce((sum, each) => sum + each) / differences.length;
    const steps = reference.length * TOKENS;
    console.info(
      `${modelId}, ${name}: largest ${largest.toExponential(1)}, mean ${mean.toExponential(1)}, ` +
        `${disagreementGaps.length} of ${steps} tokens are near-ties`,
    );
    expect(largest).toBeLessThan(tolerance.largest);
    expect(mean).toBeLessThan(tolerance.mean);
    for (const gap of disagreementGaps) expect(gap).toBeLessThan(2 * largest);
  });
});

/** Nodes that allow it agree on the format, and real hops carry it. */
describe('three node processes with int8 between them', () => {
  it('choose the tokens of one process but at near-ties', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'pangalactic-formats-'));
    const whole = await ForcedModel.open(join(models, 'pangalactic-nano-f16.gguf'), join(folder, 'cache'));
    const cluster = await startCluster({
      ...{ nodes: 3, model: 'pangalactic-nano-f16' },
      env: { node: { NODE_ACTIVATION_FORMAT: 'int8' } },
    });
    try {
      const { id, stages, activationFormat } = readyPipeline(await cluster.view())!.pipeline!;
      expect(activationFormat).toBe(ActivationFormat.ACTIVATION_FORMAT_INT8);
      const head = connectNode(stages[0]!.address, { clusterToken: undefined });
      for (const promptIds of await goldenPrompts()) {
        const stream = head.generate(
          {
            ...{ pipelineId: id, attemptId: 'parity', promptIds, emittedIds: [], maxTokens: TOKENS },
            ...{ sampling: { temperature: 0, topP: 1 }, seed: 1, choiceIndex: 0 },
          },
          { deadlineMs: 30_000 },
        );
        const ids: number[] = [];
        for await (const { token } of stream) if (token) ids.push(token.id);
        expect(ids.length).toBeGreaterThan(0);
        for (const [step, row] of (await whole.logProbabilities(promptIds, ids)).entries()) {
          expect(Math.max(...row) - row[ids[step]!]!).toBeLessThan(2 * FLOAT_WEIGHTS.int8.largest);
        }
      }
      head.close();
    } finally {
      await cluster.stop();
      await whole.close();
      await rm(folder, { recursive: true, force: true });
    }
  });
});
