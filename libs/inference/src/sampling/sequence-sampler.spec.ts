import type { Sampling } from '@pangalactic/contracts';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { SequenceStart } from '../inference-provider';
import { drawUniform } from './philox';
import { type Likelihood, referenceDistribution } from './reference-sampler.fixture';
import { referenceSoftmax } from './reference-softmax.fixture';
import { SamplingBuffers } from './sampling-buffers';
import { samplingSettings } from './sampling-settings';
import { SequenceSampler } from './sequence-sampler';

const SEED = 5;

function sequence(sampling: Sampling, overrides: Partial<SequenceStart> = {}): SequenceStart {
  return {
    ...{ slot: 0, generation: 1, sampling, seed: SEED, choiceIndex: 0, promptIds: [], emittedIds: [] },
    ...overrides,
  };
}

function samplerOf(vocabSize: number, sampling: Sampling, overrides: Partial<SequenceStart> = {}): SequenceSampler {
  return new SequenceSampler(sequence(sampling, overrides), new SamplingBuffers(vocabSize), referenceSoftmax);
}

async function draw(sampler: SequenceSampler, steps: readonly Float32Array[]): Promise<number[]> {
  const ids: number[] = [];
  for (const logits of steps) ids.push((await sampler.next(logits)).id);
  return ids;
}

/** The token whose interval holds the draw, or undefined when that depends on the last bits. */
function referenceToken(distribution: readonly Likelihood[], draw: number): number | undefined {
  let end = 0;
  for (const { id, probability } of distribution) {
    end += probability;
    if (Math.abs(draw - end) < 1e-6 && id !== distribution.at(-1)!.id) return undefined;
    if (draw < end) return id;
  }
  return distribution.at(-1)!.id;
}

/** With many ties, but no two so close that a softmax cannot tell them apart. */
const logitsArbitrary = fc.array(
  fc.oneof(
    fc.integer({ min: -4, max: 4 }),
    fc.integer({ min: -20_000, max: 20_000 }).map((thousandths) => thousandths / 1000),
  ),
  { minLength: 1, maxLength: 60 },
);
const float = (min: number, max: number) => fc.double({ min, max, noNaN: true });
const hundredths = (min: number, max: number) => fc.integer({ min, max }).map((value) => value / 100);
const orAbsent = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: undefined });
const samplingArbitrary = fc.record({
  temperature: fc.oneof(fc.constant(0), float(0.05, 3)),
  topP: fc.oneof(fc.constant(1), float(0.01, 1)),
  topK: orAbsent(fc.nat({ max: 70 })),
  minP: orAbsent(float(0, 1)),
  repetitionPenalty: orAbsent(hundredths(50, 200)),
  frequencyPenalty: orAbsent(hundredths(-200, 200)),
  presencePenalty: orAbsent(hundredths(-200, 200)),
});

describe('SequenceSampler', () => {
  it('draws what the sorted float64 reference draws, whatever the settings and the history', async () => {
    let compared = 0;
    const property = fc.asyncProperty(
      logitsArbitrary,
      samplingArbitrary,
      fc.array(fc.tuple(fc.nat(), fc.integer({ min: -100, max: 100 })), { maxLength: 3 }),
      fc.array(fc.nat(), { maxLength: 20 }),
      fc.array(fc.nat(), { maxLength: 20 }),
      async (values, options, biases, prompt, emitted) => {
        const logits = Float32Array.from(values);
        const inVocabulary = (ids: readonly number[]) => ids.map((id) => id % logits.length);
        const tokens = biases.map(([id, bias]) => ({ id: id % logits.length, bias }));
        const sampling = { ...options, logitBias: { tokens } };
        const [promptIds, emittedIds] = [inVocabulary(prompt), inVocabulary(emitted)];
        const sampler = samplerOf(logits.length, sampling, { promptIds, emittedIds });
        const completionIds = [...emittedIds];
        for (let step = 0; step < 5; step++) {
          const expected = [1 - 1e-6, 1, 1 + 1e-6].map((wobble) => {
            const settings = samplingSettings(sampling);
            const { topP, minP } = settings;
            const widened = { ...settings, topP: topP * wobble, minP: Math.min(1, minP * wobble) };
            const distribution = referenceDistribution([...logits], widened, { promptIds, completionIds });
            return referenceToken(distribution, drawUniform(SEED, 0, completionIds.length));
          });
          const { id } = await sampler.next(logits);
          // Sums in another order decide otherwise only at the very edge of a filter or an interval.
          if (new Set(expected).size === 1 && expected[0] !== undefined) {
            expect(id).toBe(expected[0]);
            compared++;
          }
          completionIds.push(id);
        }
        expect([...logits]).toEqual(values.map(Math.fround));
      },
    );
    await fc.assert(property, { numRuns: 400 });
    expect(compared).toBeGreaterThan(1_000);
  });

  it.each<[string, Sampling]>([
    ['temperature', { temperature: 1, topP: 1 }],
    ['a nucleus', { temperature: 0.7, topP: 0.8 }],
    ['a tiny nucleus', { temperature: 1, topP: 0.0001 }],
    ['top_k', { temperature: 1.5, topP: 1, topK: 4 }],
    ['min_p', { temperature: 1, topP: 1, minP: 0.4 }],
    ['everything', { temperature: 1.3, topP: 0.95, topK: 5, minP: 0.05, logitBias: { tokens: [{ id: 5, bias: 2 }] } }],
  ])('draws each token as often as the reference says: %s', async (_case, sampling) => {
    const logits = Float32Array.from([0.1, 2, -1, 2, 1.5, 0, -3]);
    const expected = referenceDistribution([...logits], samplingSettings(sampling));
    const draws = 20_000;
    const counts = new Array<number>(logits.length).fill(0);
    // A fresh seed per draw: the counts test the generator as sequences use it.
    for (let seed = 0; seed < draws; seed++) {
      const { id } = await samplerOf(logits.length, sampling, { seed }).next(logits);
      counts[id]! += 1;
    }
    const chiSquared = expected.reduce((sum, { id, probability }) => {
      const mean = probability * draws;
      return sum + (counts[id]! - mean) ** 2 / mean;
    }, 0);
    expect(expected.reduce((sum, { id }) => sum + counts[id]!, 0)).toBe(draws);
    // The 99.9 % quantile for six degrees of freedom, the most there are.
    expect(chiSquared).toBeLessThan(22.5);
  });

  it('is greedy at temperature 0, the lowest id winning a tie', async () => {
    const greedy = samplerOf(4, { temperature: 0, topP: 0.1, topK: 3, minP: 0.5 });
    expect(await greedy.next(Float32Array.of(1, 3, 3, 0))).toEqual({ id: 1 });
  });

  it('continues a resumed sequence as if it had never stopped', async () => {
    const sampling = { temperature: 1, topP: 0.9, repetitionPenalty: 1.3, frequencyPenalty: 0.5, presencePenalty: 0.5 };
    const promptIds = [3, 9, 9];
    const logits = Array.from({ length: 20 }, (_, step) =>
      Float32Array.from({ length: 50 }, (_, id) => 3 * Math.sin(id * 7 + step)),
    );
    const ids = await draw(samplerOf(50, sampling, { promptIds }), logits);
    const resumed = samplerOf(50, sampling, { promptIds, emittedIds: ids.slice(0, 8) });
    expect(await draw(resumed, logits.slice(8))).toEqual(ids.slice(8));
    const forgetful = samplerOf(50, sampling, { promptIds: [], emittedIds: ids.slice(0, 8) });
    expect(await draw(forgetful, logits.slice(8))).not.toEqual(ids.slice(8));
  });

  it('lets sequences share their buffers', async () => {
    const buffers = new SamplingBuffers(8);
    const sampling = { temperature: 1, topP: 0.9, topK: 4, presencePenalty: 1 };
    const logits = Float32Array.from({ length: 8 }, (_, id) => Math.cos(id));
    const steps = Array<Float32Array>(10).fill(logits);
    const alone = [
      await draw(samplerOf(8, sampling, { choiceIndex: 0 }), steps),
      await draw(samplerOf(8, sampling, { choiceIndex: 1 }), steps),
    ];
    const samplers = [0, 1].map(
      (choiceIndex) => new SequenceSampler(sequence(sampling, { choiceIndex }), buffers, referenceSoftmax),
    );
    const together = [[], []] as number[][];
    for (const each of steps) {
      for (const [i, sampler] of samplers.entries()) together[i]!.push((await sampler.next(each)).id);
    }
    expect(together).toEqual(alone);
    expect(together[0]).not.toEqual(together[1]);
  });

  it('reports log probabilities of the model, whatever bias, penalties and temperature do to the choice', async () => {
    await fc.assert(
      fc.asyncProperty(logitsArbitrary, fc.nat({ max: 20 }), fc.nat(), async (values, topLogprobs, wanted) => {
        const logits = Float32Array.from(values);
        const biased = wanted % logits.length;
        const logitBias = { tokens: [{ id: biased, bias: 100 }] };
        const sampling = { temperature: 0, topP: 1, logitBias, presencePenalty: 1, topLogprobs };
        const { id, logprobs } = await samplerOf(logits.length, sampling).next(logits);
        const total = logits.reduce((sum, logit) => sum + Math.exp(logit), 0);
        const expected = Array.from(logits, (logit, other) => ({ id: other, logprob: logit - Math.log(total) }));
        expect(id).toBe(biased);
        expect(logprobs!.logprob).toBeCloseTo(expected[id]!.logprob, 6);
        const top = expected.sort((a, b) => b.logprob - a.logprob || a.id - b.id).slice(0, topLogprobs);
        expect(logprobs!.top.map((ranked) => ranked.id)).toEqual(top.map((ranked) => ranked.id));
        top.forEach(({ logprob }, rank) => expect(logprobs!.top[rank]!.logprob).toBeCloseTo(logprob, 6));
      }),
    );
  });

  it.each([
    ['nothing but NaN, greedy', 0, [NaN, NaN, NaN]],
    ['nothing but NaN', 1, [NaN, NaN, NaN]],
    ['infinity, greedy', 0, [0, Infinity, 1]],
    ['no token at all', 0, [-Infinity, -Infinity]],
  ])('is an error rather than a wrong token for logits of %s', async (_case, temperature, logits) => {
    const sampler = samplerOf(logits.length, { temperature, topP: 0.9 });
    await expect(sampler.next(Float32Array.from(logits))).rejects.toMatchObject({ code: 'internal_error' });
  });

  it('never draws what the model excludes', async () => {
    const logits = Float32Array.of(-Infinity, 0, -Infinity, 0);
    const ids = await draw(samplerOf(4, { temperature: 2, topP: 1 }), Array<Float32Array>(50).fill(logits));
    expect(new Set(ids)).toEqual(new Set([1, 3]));
  });

  it('stays finite where exp does not', async () => {
    const sampler = samplerOf(3, { temperature: 0.01, topP: 0.9, topLogprobs: 3 });
    const { id, logprobs } = await sampler.next(Float32Array.of(-3e4, 3e4, 0));
    expect([id, logprobs!.logprob, logprobs!.top[2]!.logprob]).toEqual([1, 0, -6e4]);
  });
});
