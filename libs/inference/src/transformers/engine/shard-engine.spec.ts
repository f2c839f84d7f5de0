import { mkdir, mkdtemp, readdir, readFile, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type LayerRange, repositoryRoot, type Row, type SampledToken, type Sampling } from '@pangalactic/contracts';
import { GgufFile, inspectModel } from '@pangalactic/models';
import { stageMemory } from '@pangalactic/scheduler';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { StepInput } from '../../inference-provider';
import { ShardEngine } from './shard-engine';

interface Golden {
  readonly cases: readonly { prompt_ids: number[]; greedy_ids: number[]; smallest_top2_gap: number }[];
}

const models = join(repositoryRoot(), 'models');
const golden = async (variant: string) =>
  JSON.parse(await readFile(join(models, 'golden', `golden-${variant}.json`), 'utf8')) as Golden;

let cacheDir: string;
beforeAll(async () => {
  cacheDir = await mkdtemp(join(tmpdir(), 'pangalactic-engine-'));
});
afterAll(() => rm(cacheDir, { recursive: true, force: true }));

async function openStages(file: string, ranges: readonly LayerRange[], inPlace = true): Promise<ShardEngine[]> {
  const modelPath = join(models, file);
  const gguf = await GgufFile.open(modelPath);
  const fingerprint = await gguf.fingerprint();
  await gguf.close();
  const stages: ShardEngine[] = [];
  for (const layers of ranges) {
    const spec = { modelPath, fingerprint, layers, contextLength: 256, maxSequences: 4 };
    stages.push(await ShardEngine.open(spec, { device: 'cpu', threads: 1, cacheDir, inPlace }, () => undefined));
  }
  return stages;
}

async function runStep(stages: readonly ShardEngine[], rows: Row[], tokenIds: number[]) {
  let input: StepInput = { rows, tokenIds: Uint32Array.from(tokenIds) };
  for (const stage of stages) {
    const output = await stage.run(input);
    if (!output.hidden) return output.samples;
    input = { rows, hidden: output.hidden };
  }
  throw new Error('no tail');
}

const greedy = { temperature: 0, topP: 1 };

let generation = 0;

async function startSequence(
  stages: readonly ShardEngine[],
  slot: number,
  promptIds: number[],
  sampling: Sampling = greedy,
): Promise<void> {
  generation++;
  for (const stage of stages) {
    await stage.apply({
      ...{ kind: 'start', slot, generation, sampling, seed: 1, choiceIndex: 0 },
      ...{ promptIds, emittedIds: [] },
    });
  }
}

/** Greedy tokens, the prompt in chunks of `chunk`. */
async function generate(stages: readonly ShardEngine[], slot: number, promptIds: number[], count: number, chunk = 128) {
  await startSequence(stages, slot, promptIds);
  let [sample] = await prefill(stages, slot, promptIds, chunk);
  const ids: number[] = [];
  for (let start = promptIds.length; sample; start++) {
    ids.push(sample.id);
    if (ids.length === count) break;
    const row = { slot, generation, start, count: 1, sample: true };
    [sample] = await runStep(stages, [row], [sample.id]);
  }
  for (const stage of stages) await stage.apply({ kind: 'release', slot, generation });
  return ids;
}

async function prefill(stages: readonly ShardEngine[], slot: number, ids: number[], chunk: number) {
  let samples: readonly SampledToken[] = [];
  for (let start = 0; start < ids.length; start += chunk) {
    const count = Math.min(chunk, ids.length - start);
    const row = { slot, generation, start, count, sample: start + count === ids.length };
    samples = await runStep(stages, [row], ids.slice(start, start + count));
  }
  return samples;
}

const variants = [
  { file: 'pangalactic-nano-f16.gguf', variant: 'f16', nearTie: 1e-3 },
  { file: 'pangalactic-nano.gguf', variant: 'q8_0', nearTie: 0.1 },
  { file: 'pangalactic-nano-q4_0.gguf', variant: 'q4_0', nearTie: 0.1 },
];

describe.each(variants)('ShardEngine on $file', ({ file, variant, nearTie }) => {
  it('continues the golden prompts as the float64 reference does', async () => {
    const stages = await openStages(file, [{ from: 0, to: 8 }]);
    for (const { prompt_ids, greedy_ids, smallest_top2_gap } of (await golden(variant)).cases) {
      if (smallest_top2_gap < nearTie) continue;
      expect(await generate(stages, 0, prompt_ids, greedy_ids.length)).toEqual(greedy_ids);
    }
    for (const stage of stages) await stage.close();
  });

  it('gives the same tokens with one stage and with three', async () => {
    const one = await openStages(file, [{ from: 0, to: 8 }]);
    const three = await openStages(file, [
      { from: 0, to: 3 },
      { from: 3, to: 4 },
      { from: 4, to: 8 },
    ]);
    for (const { prompt_ids } of (await golden(variant)).cases) {
      expect(await generate(three, 1, prompt_ids, 64)).toEqual(await generate(one, 0, prompt_ids, 64));
    }
    for (const stage of [...one, ...three]) await stage.close();
  });

  it('gives the same tokens when the KV cache is copied', async () => {
    const inPlace = await openStages(file, [{ from: 0, to: 8 }]);
    const copying = await openStages(
      file,
      [
        { from: 0, to: 3 },
        { from: 3, to: 8 },
      ],
      false,
    );
    for (const { prompt_ids } of (await golden(variant)).cases) {
      const expected = await generate(inPlace, 0, prompt_ids, 24, 8);
      expect(await generate(copying, 2, prompt_ids, 24, 8)).toEqual(expected);
    }
    for (const stage of [...inPlace, ...copying]) await stage.close();
  });

  it('gives the same tokens alone, in a batch with idle lanes between, in chunks and in a dirty slot', async () => {
    const stages = await openStages(file, [{ from: 0, to: 8 }]);
    const [first, second] = (await golden(variant)).cases.map(({ prompt_ids }) => prompt_ids);
    const solo = [await generate(stages, 0, first!, 24), await generate(stages, 0, second!, 24)];
    expect(await generate(stages, 0, first!, 24, 4)).toEqual(solo[0]);

    const slots = [0, 3];
    const prompts = [first!, second!];
    const ids = [[], []] as number[][];
    const generations: number[] = [];
    for (const [i, slot] of slots.entries()) {
      await startSequence(stages, slot, prompts[i]!);
      generations.push(generation);
      ids[i]!.push((await prefill(stages, slot, prompts[i]!, 128))[0]!.id);
    }
    while (ids[0]!.length < 24) {
      const rows = slots.map((slot, i) => {
        const start = prompts[i]!.length + ids[i]!.length - 1;
        return { slot, generation: generations[i]!, start, count: 1, sample: true };
      });
      const samples = await runStep(stages, rows, [ids[0]!.at(-1)!, ids[1]!.at(-1)!]);
      samples.forEach((sample, i) => ids[i]!.push(sample.id));
    }
    expect(ids).toEqual(solo);
    for (const stage of stages) await stage.close();
  });
});

describe('ShardEngine', () => {
  it.each([true, false])('leaves a slot alone between the slots of a step, in place: %s', async (inPlace) => {
    const stages = await openStages('pangalactic-nano-f16.gguf', [{ from: 0, to: 8 }], inPlace);
    const prompts = (await golden('f16')).cases.slice(0, 3).map(({ prompt_ids }) => prompt_ids);
    const expected = await generate(stages, 1, prompts[1]!, 12);
    const generations: number[] = [];
    const ids: number[] = [];
    for (const [slot, prompt] of prompts.entries()) {
      await startSequence(stages, slot, prompt);
      generations.push(generation);
      ids.push((await prefill(stages, slot, prompt, 128))[0]!.id);
    }
    const feed = async (slots: number[], step: number) => {
      const rows = slots.map((slot) => {
        const start = prompts[slot]!.length + step;
        return { slot, generation: generations[slot]!, start, count: 1, sample: true };
      });
      const samples = await runStep(
        stages,
        rows,
        slots.map((slot) => ids[slot]!),
      );
      samples.forEach(({ slot, id }) => (ids[slot] = id));
    };
    for (let step = 0; step < 5; step++) await feed([0, 2], step);
    const between = [ids[1]!];
    for (let step = 0; step < 11; step++) {
      await feed([1], step);
      between.push(ids[1]!);
    }
    expect(between).toEqual(expected);
    for (const stage of stages) await stage.close();
  });

  it('copies a prefix to another slot and goes on from there', async () => {
    const stages = await openStages('pangalactic-nano.gguf', [{ from: 0, to: 8 }]);
    const { prompt_ids, greedy_ids } = (await golden('q8_0')).cases[0]!;
    const whole = await generate(stages, 0, prompt_ids, greedy_ids.length);
    await startSequence(stages, 1, prompt_ids);
    await prefill(stages, 1, prompt_ids, 128);
    await startSequence(stages, 2, prompt_ids);
    const kept = prompt_ids.length - 3;
    await stages[0]!.apply({ kind: 'copy', fromSlot: 1, toSlot: 2, count: kept });
    const row = { slot: 2, generation, start: kept, count: 3, sample: true };
    const [sample] = await runStep(stages, [row], prompt_ids.slice(kept));
    expect(sample!.id).toBe(whole[0]);
    await stages[0]!.close();
  });

  it('reports the log-softmax of its logits', async () => {
    const [engine] = (await openStages('pangalactic-nano-f16.gguf', [{ from: 0, to: 8 }])) as [ShardEngine];
    const { prompt_ids } = (await golden('f16')).cases[0]!;
    const sampling = { temperature: 1.5, topP: 1, topLogprobs: 4, presencePenalty: 2 };
    await startSequence([engine], 0, prompt_ids, sampling);
    let [sample] = await prefill([engine], 0, prompt_ids, 128);
    for (let start = prompt_ids.length; start < prompt_ids.length + 5; start++) {
      const row = { slot: 0, generation, start, count: 1, sample: true };
      const step = { rows: [row], tokenIds: Uint32Array.of(sample!.id) };
      const logits = [...(await engine.forward(step))];
      const logNormaliser = Math.log(logits.reduce((sum, logit) => sum + Math.exp(logit), 0));
      // Rewinds the slot by that token and computes the same logits.
      [sample] = (await engine.run(step)).samples;
      const { logprob, top } = sample!.logprobs!;
      expect(logprob).toBeCloseTo(logits[sample!.id]! - logNormaliser, 5);
      const ranked = logits.map((logit, id) => ({ id, logit })).sort((a, b) => b.logit - a.logit);
      expect(top.map(({ id }) => id)).toEqual(ranked.slice(0, 4).map(({ id }) => id));
      top.forEach((entry, rank) => expect(entry.logprob).toBeCloseTo(ranked[rank]!.logit - logNormaliser, 5));
    }
    await engine.close();
  });

  it.each([
    { what: 'a KV gap', row: { start: 5, count: 1 }, tokens: [7], code: 'kv_gap' },
    { what: 'too few tokens', row: { start: 0, count: 3 }, tokens: [7], code: 'invalid_frame' },
    { what: 'a token outside the vocabulary', row: { start: 0, count: 1 }, tokens: [2048], code: 'invalid_frame' },
  ])('refuses $what', async ({ row, tokens, code }) => {
    const stages = await openStages('pangalactic-nano.gguf', [{ from: 0, to: 8 }]);
    await startSequence(stages, 0, [1, 2]);
    const rows = [{ slot: 0, generation, sample: true, ...row }];
    await expect(runStep(stages, rows, tokens)).rejects.toMatchObject({ code });
    await stages[0]!.close();
  });

  it.each([
    { from: 0, to: 3 },
    { from: 3, to: 8 },
    { from: 0, to: 8 },
  ])('reports the memory that the planner counts on for layers $from to $to', async (layers) => {
    const file = 'pangalactic-nano-q4_0.gguf';
    const [engine] = (await openStages(file, [layers])) as [ShardEngine];
    const info = await inspectModel('nano', join(models, file));
    expect(engine.memoryBytes).toBe(stageMemory(info, layers, { contextLength: 256, maxSequences: 4 }).total);
    await engine.close();
  });

  it('keeps all logits in one buffer', async () => {
    const stages = (await openStages('pangalactic-nano.gguf', [{ from: 0, to: 8 }])) as [ShardEngine];
    await startSequence(stages, 0, [1, 2]);
    const one = { slot: 0, generation, start: 0, count: 2, sample: true };
    const first = await stages[0].forward({ rows: [one], tokenIds: Uint32Array.of(1, 2) });
    await startSequence(stages, 1, [1, 2]);
    const rows = [
      { ...one, start: 1, count: 1 },
      { slot: 1, generation, start: 0, count: 1, sample: true },
    ];
    const second = await stages[0].forward({ rows, tokenIds: Uint32Array.of(2, 1) });
    expect([first.length, second.length]).toEqual([2048, 2 * 2048]);
    expect(second.buffer).toBe(first.buffer);
    expect(second.buffer.byteLength).toBe(4 * 2048 * 4);
    await stages[0].close();
  });

  it('cleans the cache of weights after a load', async () => {
    const folder = join(cacheDir, `${'0'.repeat(64)}-v1`);
    const halfWritten = join(folder, 'output.weights.2f1c1b1e-6a0c-4b5e-9d0e-0123456789ab.tmp');
    await mkdir(folder);
    await writeFile(halfWritten, '');
    await utimes(halfWritten, 0, 0);
    const [engine] = (await openStages('pangalactic-nano.gguf', [{ from: 0, to: 1 }])) as [ShardEngine];
    expect(await readdir(folder)).toEqual([]);
    await engine.close();
  });

  it('refuses a file that is not the planned one', async () => {
    const spec = {
      ...{ modelPath: join(models, 'pangalactic-nano.gguf'), fingerprint: 'other', layers: { from: 0, to: 8 } },
      ...{ contextLength: 64, maxSequences: 1 },
    };
    const opening = ShardEngine.open(spec, { device: 'cpu', threads: 1, cacheDir, inPlace: true }, () => undefined);
    await expect(opening).rejects.toMatchObject({ code: 'corrupt_model_file' });
  });
});
