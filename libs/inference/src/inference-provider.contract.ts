import type { ErrorCode, Row, SampledToken } from '@pangalactic/contracts';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { InferenceProvider, SequenceStart, Shard, ShardSpec, StepInput, StepOutput } from './inference-provider';

export interface ProviderUnderTest {
  create(): Promise<InferenceProvider>;
  /** A small model and its sizes. */
  readonly modelPath: string;
  readonly fingerprint: string;
  readonly layers: number;
  readonly hiddenSize: number;
  readonly vocabSize: number;
}

const CONTEXT_LENGTH = 64;
const PROMPT = [3, 14, 15, 92, 65, 35, 89, 79, 32, 38];

/** What every inference provider promises to the stages that use it. */
export function inferenceProviderContract(name: string, prepare: () => Promise<ProviderUnderTest>): void {
  describe(`inference provider: ${name}`, () => {
    let target: ProviderUnderTest;
    let provider: InferenceProvider;
    let shard: Shard;

    const spec = (from = 0, to = target.layers): ShardSpec => ({
      modelPath: target.modelPath,
      fingerprint: target.fingerprint,
      layers: { from, to },
      contextLength: CONTEXT_LENGTH,
      maxSequences: 3,
    });
    const load = (from?: number, to?: number) => provider.load(spec(from, to), () => undefined);

    beforeAll(async () => {
      target = await prepare();
    });
    beforeEach(async () => {
      provider = await target.create();
      shard = await load();
    });
    afterEach(() => provider.close());

    it('reports the progress of a load and the memory it takes', async () => {
      const progress: number[] = [];
      const loaded = await provider.load(spec(0, 1), (fraction) => progress.push(fraction));
      expect(loaded.memoryBytes).toBeGreaterThan(0);
      expect(progress.at(-1)).toBe(1);
      expect(progress).toEqual([...progress].sort((a, b) => a - b));
    });

    it('samples one token after the last row and says how long it computed', async () => {
      shard.apply(start(0, 1, PROMPT));
      const output = await shard.run(feed(0, 1, 0, PROMPT));
      expect(output.samples).toEqual([{ slot: 0, generation: 1, id: expect.any(Number) as number }]);
      expect(output.samples[0]?.id).toBeLessThan(target.vocabSize);
      expect(output.hidden).toBeUndefined();
      expect(output.computeMs).toBeGreaterThanOrEqual(0);
    });

    it('samples nothing when no row asks for it', async () => {
      shard.apply(start(0, 1, PROMPT));
      expect((await shard.run(feed(0, 1, 0, PROMPT, false))).samples).toEqual([]);
    });

    it('computes the same however a prompt is split into chunks', async () => {
      const whole = await generate(shard, 0, 1, [10], 6);
      const split = await generate(shard, 1, 1, [2, 5, 3], 6);
      expect(split).toEqual(whole);
    });

    it('decodes sequences of different lengths in one step as it does alone', async () => {
      const prompts = [PROMPT, PROMPT.slice(0, 4), PROMPT.slice(3)];
      const alone: number[][] = [];
      for (const [slot, prompt] of prompts.entries()) {
        const other = await load();
        alone.push(await generate(other, slot, 1, [prompt.length], 4, prompt));
        await other.unload();
      }
      const batched: number[][] = [];
      for (const [slot, prompt] of prompts.entries()) {
        shard.apply(start(slot, 1, prompt));
        batched.push([sampled(await shard.run(feed(slot, 1, 0, prompt)))]);
      }
      for (let index = 0; index < 3; index++) {
        const rows = prompts.map((prompt, slot) => row(slot, 1, prompt.length + index, 1));
        const tokenIds = Uint32Array.from(batched.map((ids) => ids.at(-1) ?? 0));
        const output = await shard.run({ rows, tokenIds });
        expect(output.samples.map((sample) => sample.slot)).toEqual([0, 1, 2]);
        output.samples.forEach((sample, slot) => batched[slot]?.push(sample.id));
      }
      expect(batched).toEqual(alone);
    });

    it('computes the same in one shard and in two', async () => {
      const whole = await generate(shard, 0, 1, [10], 5);
      const [head, tail] = [await load(0, 2), await load(2)];
      for (const stage of [head, tail]) stage.apply(start(0, 1, PROMPT));
      const ids: number[] = [];
      for (let step = feed(0, 1, 0, PROMPT); ids.length < 5; step = feed(0, 1, 9 + ids.length, ids.slice(-1))) {
        const { hidden, samples } = await head.run(step);
        expect(samples).toEqual([]);
        expect(hidden).toHaveLength((step.tokenIds?.length ?? 0) * target.hiddenSize);
        ids.push(sampled(await tail.run({ rows: step.rows, hidden })));
      }
      expect(ids).toEqual(whole);
    });

    it('takes commands and steps in the order of the calls, without waiting in between', async () => {
      const expected = await generate(shard, 0, 1, [4, 6], 1);
      shard.apply({ kind: 'release', slot: 0, generation: 1 });
      shard.apply(start(0, 2, PROMPT.slice(5)));
      const other = shard.run(feed(0, 2, 0, PROMPT.slice(5)));
      shard.apply({ kind: 'release', slot: 0, generation: 2 });
      shard.apply(start(0, 3, PROMPT));
      const first = shard.run(feed(0, 3, 0, PROMPT.slice(0, 4), false));
      const second = shard.run(feed(0, 3, 4, PROMPT.slice(4)));
      const settled: number[] = [];
      const order = [other, first, second].map((output, index) => output.then(() => settled.push(index)));
      expect(sampled(await second)).toBe(expected[0]);
      await Promise.all(order);
      expect(settled).toEqual([0, 1, 2]);
    });

    it('rewinds to the start of a row', async () => {
      const expected = await generate(shard, 0, 1, [10], 4);
      const again = feed(0, 1, 4, PROMPT.slice(4));
      expect(sampled(await shard.run(again))).toBe(expected[0]);
    });

    it('goes on from a copied prefix', async () => {
      const expected = await generate(shard, 0, 1, [6, 4], 1);
      shard.apply(start(2, 1, PROMPT));
      shard.apply({ kind: 'copy', fromSlot: 0, toSlot: 2, count: 6 });
      expect(sampled(await shard.run(feed(2, 1, 6, PROMPT.slice(6))))).toBe(expected[0]);
    });

    it('goes on from the tokens that the last holder left in a slot', async () => {
      const expected = await generate(shard, 0, 1, [6, 4], 1);
      shard.apply({ kind: 'release', slot: 0, generation: 1 });
      shard.apply(start(0, 2, PROMPT));
      expect(sampled(await shard.run(feed(0, 2, 6, PROMPT.slice(6))))).toBe(expected[0]);
    });

    it('fills a slot up to its context', async () => {
      const prompt = Array.from({ length: CONTEXT_LENGTH }, (_, index) => 1 + (index % 50));
      shard.apply(start(0, 1, prompt));
      expect((await shard.run(feed(0, 1, 0, prompt))).samples).toHaveLength(1);
    });

    it('draws by seed, choice and completion index alone', async () => {
      const hot = { temperature: 1, topP: 1 };
      const draw = async (generation: number, seed: number, emitted: number[]) => {
        shard.apply({ ...start(0, generation, PROMPT), sampling: hot, seed, emittedIds: emitted });
        const ids = [...emitted];
        let output = await shard.run(feed(0, generation, 0, PROMPT, emitted.length === 0));
        if (emitted.length > 0) output = await shard.run(feed(0, generation, PROMPT.length, emitted));
        ids.push(sampled(output));
        while (ids.length < 12) {
          ids.push(sampled(await shard.run(feed(0, generation, PROMPT.length + ids.length - 1, ids.slice(-1)))));
        }
        shard.apply({ kind: 'release', slot: 0, generation });
        return ids;
      };
      const first = await draw(1, 42, []);
      expect(await draw(2, 42, [])).toEqual(first);
      expect(await draw(3, 42, first.slice(0, 5))).toEqual(first);
      expect(await draw(4, 43, [])).not.toEqual(first);
    });

    it('reports log probabilities to the sequences that ask for them', async () => {
      const ask = (slot: number, topLogprobs?: number) =>
        shard.apply({ ...start(slot, 1, PROMPT), sampling: { temperature: 0, topP: 1, topLogprobs } });
      ask(0, 5);
      ask(1, 0);
      ask(2);
      const answers: SampledToken[] = [];
      for (const slot of [0, 1, 2]) answers.push(...(await shard.run(feed(slot, 1, 0, PROMPT))).samples);
      const [five, none, unasked] = answers as [SampledToken, SampledToken, SampledToken];
      const { logprob, top } = five.logprobs!;
      expect(top).toHaveLength(5);
      expect(top[0]).toEqual({ id: five.id, logprob });
      expect(top.map((ranked) => ranked.logprob)).toEqual(top.map((ranked) => ranked.logprob).sort((a, b) => b - a));
      expect(top.reduce((sum, ranked) => sum + Math.exp(ranked.logprob), 0)).toBeLessThanOrEqual(1 + 1e-6);
      expect(none.logprobs).toEqual({ logprob, top: [] });
      expect(unasked).not.toHaveProperty('logprobs');
    });

    it.each<[string, ErrorCode, () => StepInput]>([
      ['a KV gap', 'kv_gap', () => feed(0, 1, 1, PROMPT)],
      ['an unknown slot', 'invalid_frame', () => feed(3, 1, 0, PROMPT)],
      ['a slot without a sequence', 'invalid_frame', () => feed(1, 1, 0, PROMPT)],
      ['a stale generation', 'invalid_frame', () => feed(0, 2, 0, PROMPT)],
      ['no rows', 'invalid_frame', () => ({ rows: [], tokenIds: new Uint32Array() })],
      ['a row without tokens', 'invalid_frame', () => feed(0, 1, 0, [])],
      ['more than the context', 'invalid_frame', () => feed(0, 1, 0, Array<number>(CONTEXT_LENGTH + 1).fill(1))],
      ['too few ids', 'invalid_frame', () => ({ ...feed(0, 1, 0, PROMPT), tokenIds: Uint32Array.of(1) })],
      ['an id beyond the vocabulary', 'invalid_frame', () => feed(0, 1, 0, [1, target.vocabSize])],
      ['hidden states at the head', 'invalid_frame', () => ({ rows: [row(0, 1, 0, 1)], hidden: new Float32Array(1) })],
    ])('refuses a step with %s and is unusable from then on', async (_case, code, step) => {
      shard.apply(start(0, 1, PROMPT));
      await expect(shard.run(step())).rejects.toMatchObject({ code });
      await expect(shard.run(feed(0, 1, 0, PROMPT))).rejects.toThrow();
    });

    it('refuses hidden states of the wrong size', async () => {
      const tail = await load(1);
      tail.apply(start(0, 1, PROMPT));
      const step = { rows: [row(0, 1, 0, 2)], hidden: new Float32Array(2 * target.hiddenSize - 1) };
      await expect(tail.run(step)).rejects.toMatchObject({ code: 'invalid_frame' });
    });

    it('is unusable after a command that cannot be', async () => {
      shard.apply(start(0, 1, PROMPT));
      // A provider may notice in the call or in the thread that computes.
      try {
        shard.apply({ kind: 'release', slot: 0, generation: 2 });
      } catch (error) {
        expect(error).toMatchObject({ code: 'invalid_frame' });
      }
      await expect(shard.run(feed(0, 1, 0, PROMPT))).rejects.toMatchObject({ code: 'invalid_frame' });
    });

    it('finishes the running step before it unloads, and refuses calls after', async () => {
      shard.apply(start(0, 1, PROMPT));
      const running = shard.run(feed(0, 1, 0, PROMPT));
      await shard.unload();
      expect((await running).samples).toHaveLength(1);
      await expect(shard.run(feed(0, 1, 10, [1]))).rejects.toThrow(/unloaded/);
      expect(() => shard.apply({ kind: 'release', slot: 0, generation: 1 })).toThrow(/unloaded/);
      await shard.unload();
    });

    it('loads shards that do not see each other', async () => {
      const other = await load();
      const expected = await generate(shard, 0, 1, [10], 3);
      expect(await generate(other, 0, 1, [10], 3)).toEqual(expected);
      await other.unload();
      shard.apply({ kind: 'release', slot: 0, generation: 1 });
      expect(await generate(shard, 0, 2, [10], 3)).toEqual(expected);
    });

    it('gives up a load when it is told to, and loads the same again', async () => {
      const reason = new Error('not wanted any more');
      const giveUp = new AbortController();
      const loading = provider.load(spec(), () => giveUp.abort(reason), giveUp.signal);
      await expect(loading).rejects.toBe(reason);
      await expect(provider.load(spec(), () => undefined, giveUp.signal)).rejects.toBe(reason);
      const late = new AbortController();
      const loaded = await provider.load(spec(), () => undefined, late.signal);
      late.abort(reason);
      expect(await generate(loaded, 0, 1, [10], 3)).toEqual(await generate(shard, 0, 1, [10], 3));
    });

    it('refuses a file that is not there', async () => {
      await expect(provider.load({ ...spec(), modelPath: '/nowhere/model.gguf' }, () => undefined)).rejects.toThrow(
        /nowhere/,
      );
    });
  });
}

function row(slot: number, generation: number, start: number, count: number, sample = true): Row {
  return { slot, generation, start, count, sample };
}

function start(slot: number, generation: number, promptIds: number[]): { kind: 'start' } & SequenceStart {
  return {
    kind: 'start',
    slot,
    generation,
    promptIds,
    emittedIds: [],
    sampling: { temperature: 0, topP: 1 },
    seed: 1,
    choiceIndex: 0,
  };
}

function feed(slot: number, generation: number, at: number, ids: number[], sample = true): StepInput {
  return { rows: [row(slot, generation, at, ids.length, sample)], tokenIds: Uint32Array.from(ids) };
}

function sampled(output: StepOutput): number {
  const [sample] = output.samples;
  if (!sample) throw new Error('the step sampled nothing');
  return sample.id;
}

/** Starts a sequence, feeds its prompt in chunks and decodes greedily. */
async function generate(
  shard: Shard,
  slot: number,
  generation: number,
  chunks: number[],
  tokens: number,
  prompt = PROMPT,
): Promise<number[]> {
  shard.apply(start(slot, generation, prompt));
  const ids: number[] = [];
  let fed = 0;
  for (const count of chunks) {
    const last = fed + count === prompt.length;
    const output = await shard.run(feed(slot, generation, fed, prompt.slice(fed, fed + count), last));
    fed += count;
    if (last) ids.push(sampled(output));
  }
  while (ids.length < tokens) {
    ids.push(sampled(await shard.run(feed(slot, generation, fed, ids.slice(-1)))));
    fed += 1;
  }
  return ids;
}
