import { argmax } from './argmax';
import { type Measure, ProbabilityBuckets } from './probability-buckets';
import type { SamplingSettings } from './sampling-settings';
import { takeHeaviest } from './take-heaviest';

export type Filters = Pick<SamplingSettings, 'topP' | 'topK' | 'minP'>;

/** The tokens that may be drawn: those more probable than this one, equal ones by their ids, and itself. */
export interface Cutoff {
  readonly id: number;
  readonly probability: number;
  /** How probable all tokens that may be drawn are together. */
  readonly mass: number;
}

/** Used again for each call, which leaves nothing in them that the next one reads. */
const buckets = new ProbabilityBuckets();

/**
 * What min_p, top_k and top_p leave, each of what the one before it left. One pass over the vocabulary, and one more for each
 * of the last two: neither needs the order of the tokens, but only that of the bucket in which its limit lies.
 * @param probabilities [vocab] float32 that add up to 1
 * @param candidates room for as many ids
 * @returns undefined when every token may be drawn
 */
export function tokenCutoff(
  { topP, topK, minP }: Filters,
  probabilities: Float32Array,
  candidates: Uint32Array,
): Cutoff | undefined {
  const limitsCount = topK > 0 && topK < probabilities.length;
  const limitsMass = topP < 1;
  if (minP === 0 && !limitsCount && !limitsMass) return undefined;
  const floor = minP === 0 ? Number.MIN_VALUE : minP * probabilities[argmax(probabilities)]!;
  const mass = buckets.fill(probabilities, floor);
  let cutoff: Cutoff = { id: probabilities.length, probability: floor, mass };
  if (limitsCount) cutoff = narrowed(cutoff, 'count', topK, probabilities, candidates);
  if (limitsMass) cutoff = narrowed(cutoff, 'mass', topP * cutoff.mass, probabilities, candidates);
  return cutoff;
}

export function isKept(id: number, probability: number, cutoff: Cutoff): boolean {
  return probability > cutoff.probability || (probability === cutoff.probability && id <= cutoff.id);
}

/** Only the most probable of those tokens, as few as it takes to reach the target. */
function narrowed(
  cutoff: Cutoff,
  measure: Measure,
  target: number,
  probabilities: Float32Array,
  candidates: Uint32Array,
): Cutoff {
  const { bucket, above } = buckets.reach(measure, target);
  const inBucket = buckets.ids(bucket, probabilities, candidates);
  let count = 0;
  for (let at = 0; at < inBucket; at++) {
    const id = candidates[at]!;
    if (isKept(id, probabilities[id]!, cutoff)) candidates[count++] = id;
  }
  const measureOf = measure === 'count' ? () => 1 : (id: number) => probabilities[id]!;
  const taken = takeHeaviest(candidates, count, probabilities, target - above, measureOf);
  let mass = buckets.massAbove(bucket);
  for (let at = 0; at < taken; at++) mass += probabilities[candidates[at]!]!;
  const id = candidates[taken - 1]!;
  return { id, probability: probabilities[id]!, mass };
}
