import type { Sampling } from '@pangalactic/contracts';
import { SamplingBuffers } from '../libs/inference/src/sampling/sampling-buffers';
import { SequenceSampler } from '../libs/inference/src/sampling/sequence-sampler';
import { SoftmaxSession } from '../libs/inference/src/transformers/engine/softmax-session';
import { median } from './statistics';

const VOCABULARY = 32_000;
const DRAWS = 400;
/** A quick decode step of a model with such a vocabulary; a draw may take 5 % of it. */
const STEP_MS = 20;
const BAR_PERCENT = 5;

/** Tokens that came before: what penalties have to go over. */
const HISTORY = Array.from({ length: 2_000 }, (_, index) => (index * 7) % VOCABULARY);

const SETTINGS: Readonly<Record<string, Partial<Sampling>>> = {
  greedy: { temperature: 0 },
  temperature: {},
  'top_p 0.95': { topP: 0.95 },
  'top_p 0.5': { topP: 0.5 },
  'top_k 40': { topK: 40 },
  'top_k 5,000': { topK: 5_000 },
  'top_k 1,000, top_p 0.9': { topK: 1_000, topP: 0.9 },
  'min_p 0.05': { minP: 0.05 },
  'all penalties': { repetitionPenalty: 1.1, frequencyPenalty: 0.5, presencePenalty: 0.5 },
  '20 logprobs': { topLogprobs: 20 },
  everything: {
    ...{ topP: 0.95, topK: 5_000, minP: 0.001, topLogprobs: 20 },
    ...{ repetitionPenalty: 1.1, frequencyPenalty: 0.5, presencePenalty: 0.5 },
  },
};

/** Normally distributed logits; the larger the deviation, the fewer tokens hold most of the probability. */
const DEVIATIONS = { peaked: 4, usual: 1, flat: 0.05 };

/** Microseconds per draw from a vocabulary of 32,000 tokens, and their share of a decode step. */
export async function measureSampling(): Promise<object> {
  const session = await SoftmaxSession.open(VOCABULARY, true);
  const draws = [];
  for (const [settings, sampling] of Object.entries(SETTINGS)) {
    for (const [logits, deviation] of Object.entries(DEVIATIONS)) {
      const microseconds = await drawTime(sampling, normalLogits(deviation), session);
      draws.push({
        settings,
        logits,
        microseconds: Math.round(microseconds),
        percentOfStep: microseconds / 10 / STEP_MS,
      });
    }
  }
  await session.close();
  console.table(draws.map((draw) => ({ ...draw, percentOfStep: draw.percentOfStep.toFixed(2) })));
  const worst = Math.max(...draws.map(({ percentOfStep }) => percentOfStep));
  console.log(`worst: ${worst.toFixed(2)} % of a step of ${STEP_MS} ms, bar ${BAR_PERCENT} %`);
  return { draws, worst, reached: worst < BAR_PERCENT };
}

async function drawTime(sampling: Partial<Sampling>, logits: Float32Array, session: SoftmaxSession): Promise<number> {
  const start = {
    ...{ slot: 0, generation: 1, seed: 1, choiceIndex: 0, promptIds: HISTORY, emittedIds: [] },
    sampling: { temperature: 1, topP: 1, ...sampling },
  };
  const sampler = new SequenceSampler(start, new SamplingBuffers(VOCABULARY), session.softmax);
  const times: number[] = [];
  for (let draw = 0; draw < DRAWS; draw += 1) {
    const started = performance.now();
    await sampler.next(logits);
    times.push(performance.now() - started);
  }
  return 1_000 * median(times.slice(DRAWS / 4));
}

/** By Box-Muller. */
function normalLogits(deviation: number): Float32Array {
  const normal = () => Math.sqrt(-2 * Math.log(1 - Math.random())) * Math.cos(2 * Math.PI * Math.random());
  return Float32Array.from({ length: VOCABULARY }, () => deviation * normal());
}
