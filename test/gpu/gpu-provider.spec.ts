import { spawnSync } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { repositoryRoot } from '@pangalactic/contracts';
import { type Shard, type StepInput, TransformersProvider } from '@pangalactic/inference';
import { GgmlType, inspectModel } from '@pangalactic/models';
import { seededRandom, writeRandomModel } from '@pangalactic/testing';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { inferenceProviderContract } from '../../libs/inference/src/inference-provider.contract';
import { hasSoftwareGpu, SOFTWARE_GPU } from './software-gpu';

const NIGHTLY = process.env.PANGALACTIC_NIGHTLY === '1';
const root = repositoryRoot();
const workerFile = join(root, 'dist/libs/inference/src/transformers/engine-worker.js');
/** A GPU made of software takes milliseconds for each operator, however small. */
const TINY = {
  ...{ layers: 3, hiddenSize: 64, feedForwardSize: 96, heads: 4, kvHeads: 2, headSize: 16, vocabSize: 288 },
  ...{ tiedEmbeddings: false, contextLength: 64 },
};

let folder: string;
let gpu: TransformersProvider;
let cpu: TransformersProvider;
const tinyModel = () => join(folder, 'tiny.gguf');

describe.runIf(hasSoftwareGpu())('TransformersProvider on a GPU', () => {
  beforeAll(async () => {
    Object.assign(process.env, SOFTWARE_GPU);
    folder = await mkdtemp(join(tmpdir(), 'pangalactic-gpu-'));
    await writeRandomModel(tinyModel(), TINY, { seed: 1, type: GgmlType.F16 });
    const options = { threads: 1, cacheDir: join(folder, 'cache'), workerFile };
    gpu = await TransformersProvider.create({ ...options, device: 'gpu' });
    cpu = await TransformersProvider.create({ ...options, device: 'cpu' });
  });
  afterEach(() => Promise.all([gpu.close(), cpu.close()]));
  afterAll(() => rm(folder, { recursive: true }));

  // It takes two minutes.
  if (NIGHTLY) {
    inferenceProviderContract('transformers on a GPU', async () => {
      const { fingerprint } = await inspectModel('tiny', tinyModel());
      const { layers, hiddenSize, vocabSize } = TINY;
      // A closed provider has unloaded its shards, no more: the GPU need not be checked again.
      return { create: () => Promise.resolve(gpu), modelPath: tinyModel(), fingerprint, layers, hiddenSize, vocabSize };
    });
  }

  it.each(NIGHTLY ? ['f16', 'q8_0', 'q4_0'] : ['q4_0'])(
    'continues golden prompts as the float64 reference does, %s',
    async (variant) => {
      const golden = JSON.parse(await readFile(join(root, `models/golden/golden-${variant}.json`), 'utf8')) as Golden;
      const shard = await load(gpu, join(root, 'models', golden.file), 256);
      const [longest] = golden.cases
        .filter(({ greedy_ids }) => greedy_ids.length < 10)
        .sort(byPromptLength)
        .slice(-1);
      expect(await generate(shard, longest!.prompt_ids, longest!.greedy_ids.length)).toEqual(longest!.greedy_ids);
    },
  );

  it('computes what the CPU computes, whatever slots take part in whatever order', async () => {
    const shards = await Promise.all([gpu, cpu].map((provider) => load(provider, tinyModel(), TINY.contextLength, 1)));
    const random = seededRandom(7);
    const below = (limit: number) => Math.floor(random() * limit);
    const lengths = [0, 0, 0, 0];
    for (const shard of shards) lengths.forEach((_, slot) => shard.apply({ ...START, slot, generation: 1 }));
    const compare = async (rows: readonly { slot: number; start: number; count: number }[]) => {
      for (const { slot, start, count } of rows) lengths[slot] = start + count;
      const tokens = rows.reduce((sum, { count }) => sum + count, 0);
      const step = {
        rows: rows.map((row) => ({ ...row, generation: 1, sample: false })),
        tokenIds: Uint32Array.from({ length: tokens }, () => below(TINY.vocabSize)),
      };
      const [computed, expected] = await Promise.all(shards.map((shard) => shard.run(step)));
      const difference = Math.max(...expected!.hidden!.map((value, i) => Math.abs(value - computed!.hidden![i]!)));
      expect(difference, JSON.stringify(rows)).toBeLessThan(1e-4);
    };
    // One that is full lies idle beside the others, of which none is touched before it has tokens.
    const full = 3;
    await compare([{ slot: full, start: 0, count: TINY.contextLength }]);
    for (const slot of [0, 1, 2]) await compare([{ slot, start: 0, count: 20 + below(30) }]);
    for (let round = 0; round < 30; round++) {
      const others = [0, 1, 2].sort(() => random() - 0.5);
      const count = round % 3 === 0 ? 1 + below(40) : 1;
      // Now and then a sequence goes on from an earlier token.
      const startOf = (slot: number) =>
        Math.max(0, Math.min(lengths[slot]!, TINY.contextLength - count) - (random() < 0.2 ? below(30) : 0));
      const slots = round % 3 === 0 ? others.slice(0, 1) : others.slice(0, 2 + below(2));
      await compare(slots.map((slot) => ({ slot, start: startOf(slot), count })));
      if (round % 5 !== 0) continue;
      const [fromSlot, toSlot] = others as [number, number];
      const copied = 1 + below(lengths[fromSlot]!);
      for (const shard of shards) shard.apply({ kind: 'copy', fromSlot, toSlot, count: copied });
      lengths[toSlot] = copied;
    }
    await compare([{ slot: full, start: TINY.contextLength - 1, count: 1 }]);
  });

  it('fails its steps when the engine process is killed, and loads again', async () => {
    const shard = await load(gpu, tinyModel(), TINY.contextLength);
    shard.apply({ ...START, slot: 0, generation: 1 });
    const signal = (name: string) => spawnSync('pkill', [name, '-P', String(process.pid), '-f', 'engine-worker.js']);
    expect(signal('-STOP').status).toBe(0);
    const step = shard.run(feed(0, [1, 2, 3]));
    expect(signal('-KILL').status).toBe(0);
    const failure = { code: 'internal_error', message: 'the engine failed: it was killed by SIGKILL' };
    await expect(step).rejects.toMatchObject(failure);
    await expect(shard.run(feed(3, [4]))).rejects.toMatchObject(failure);
    await shard.unload();
    expect(await generate(await load(gpu, tinyModel(), TINY.contextLength), [1, 2, 3], 2)).toHaveLength(2);
  });

  it('says why there is no GPU', async () => {
    process.env.VK_ICD_FILENAMES = join(folder, 'no-driver.json');
    const creating = TransformersProvider.create({ device: 'gpu', threads: 1, cacheDir: folder, workerFile });
    await expect(creating).rejects.toMatchObject({
      code: 'unsupported_compute_type',
      message: expect.stringMatching(/^Failed to get a WebGPU adapter/) as string,
    });
    Object.assign(process.env, SOFTWARE_GPU);
  });
});

interface Golden {
  readonly file: string;
  readonly cases: readonly GoldenCase[];
}

interface GoldenCase {
  readonly prompt_ids: number[];
  readonly greedy_ids: number[];
}

const byPromptLength = (a: GoldenCase, b: GoldenCase) => a.prompt_ids.length - b.prompt_ids.length;

const START = {
  kind: 'start' as const,
  ...{ sampling: { temperature: 0, topP: 1 }, seed: 1, choiceIndex: 0, promptIds: [], emittedIds: [] },
};

async function load(
  provider: TransformersProvider,
  modelPath: string,
  contextLength: number,
  layers?: number,
): Promise<Shard> {
  const model = await inspectModel('model', modelPath);
  const range = { from: 0, to: layers ?? model.layers };
  const spec = { modelPath, fingerprint: model.fingerprint, layers: range, contextLength, maxSequences: 4 };
  return provider.load(spec, () => undefined);
}

function feed(start: number, ids: readonly number[], slot = 0): StepInput {
  const row = { slot, generation: 1, start, count: ids.length, sample: true };
  return { rows: [row], tokenIds: Uint32Array.from(ids) };
}

async function generate(shard: Shard, promptIds: readonly number[], count: number): Promise<number[]> {
  const slot = 2;
  shard.apply({ ...START, slot, generation: 1, promptIds });
  let output = await shard.run(feed(0, promptIds, slot));
  const ids: number[] = [];
  for (let start = promptIds.length; ; start++) {
    ids.push(output.samples[0]!.id);
    if (ids.length === count) return ids;
    output = await shard.run(feed(start, ids.slice(-1), slot));
  }
}
