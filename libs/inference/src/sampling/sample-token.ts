import { argmax } from './argmax';
import type { SamplingBuffers } from './sampling-buffers';
import type { SamplingSettings } from './sampling-settings';
import { takeHeaviest } from './take-heaviest';

/** The tokens that may be drawn: those heavier than this one, equal weights by their ids, and itself. */
interface Cutoff {
  readonly id: number;
  readonly weight: number;
  /** Of all tokens that may be drawn. */
  readonly mass: number;
}

/**
 * Draws a token from softmax(logits / temperature) as far as min_p, top_k and top_p leave it.
 *
 * The draw walks the tokens in the order of their ids, whatever their weights: logits that differ in the last bits, as
 * those of a batch and of a single sequence do, then give the same token except at the very edge of its interval.
 * @param draw uniform in [0, 1)
 */
export function sampleToken(
  logits: Float32Array,
  settings: SamplingSettings,
  draw: number,
  buffers: SamplingBuffers,
): number {
  const mostLikely = argmax(logits);
  if (settings.temperature <= 0) return mostLikely;
  const { weights } = buffers;
  const total = weigh(logits, logits[mostLikely]!, settings.temperature, weights);
  const cutoff = cutoffOf(settings, total, buffers);
  let left = draw * (cutoff?.mass ?? total);
  let last = mostLikely;
  for (let id = 0; id < weights.length; id++) {
    const weight = weights[id]!;
    if (weight === 0 || (cutoff && !isKept(id, weight, cutoff))) continue;
    last = id;
    left -= weight;
    if (left < 0) break;
  }
  return last;
}

function isKept(id: number, weight: number, cutoff: Cutoff): boolean {
  return weight > cutoff.weight || (weight === cutoff.weight && id <= cutoff.id);
}

/** Fills in the weights and returns their sum. */
function weigh(logits: Float32Array, max: number, temperature: number, weights: Float64Array): number {
  let total = 0;
  for (let id = 0; id < weights.length; id++) {
    const weight = Math.exp((logits[id]! - max) / temperature);
    weights[id] = weight;
    total += weight;
  }
  return total;
}

/** Undefined when every token may be drawn. */
function cutoffOf(
  { topP, topK, minP }: SamplingSettings,
  total: number,
  { weights, candidates }: SamplingBuffers,
): Cutoff | undefined {
  const limitsCount = topK > 0 && topK < weights.length;
  const limitsMass = topP < 1;
  if (minP === 0 && !limitsCount && !limitsMass) return undefined;

  const onlyMass = minP === 0 && !limitsCount;
  let floor = minP;
  // All tokens lighter than this together weigh less than what top_p leaves out: they need not be looked at again.
  if (onlyMass) floor = ((1 - topP) * total) / weights.length;
  const sampleSize = Math.max(1024, 8 * topK);
  if (limitsCount && sampleSize < weights.length) {
    floor = Math.max(floor, sampledFloor(topK, sampleSize, weights, candidates));
  }
  let count = gather(candidates, weights, floor, weights.length);
  if (limitsCount) count = takeHeaviest(candidates, count, weights, topK, () => 1);
  if (limitsMass) {
    const target = topP * (onlyMass ? total : massOf(candidates, count, weights));
    count = takeHeaviest(candidates, count, weights, target, (id) => weights[id]!);
  }
  const mass = massOf(candidates, count, weights);
  if (!limitsCount && !limitsMass) return { id: weights.length, weight: minP, mass };
  const id = candidates[count - 1]!;
  return { id, weight: weights[id]!, mass };
}

/**
 * A weight that at least topK tokens reach: the topK-th heaviest of the first tokens. It leaves few to select from, and
 * that is what makes a small top_k cheap.
 */
function sampledFloor(topK: number, sampleSize: number, weights: Float64Array, candidates: Uint32Array): number {
  const sample = gather(candidates, weights, 0, sampleSize);
  const count = takeHeaviest(candidates, sample, weights, topK, () => 1);
  return weights[candidates[count - 1]!]!;
}

/** The ids among the first `end` that weigh at least `floor`; returns how many. */
function gather(candidates: Uint32Array, weights: Float64Array, floor: number, end: number): number {
  let count = 0;
  for (let id = 0; id < end; id++) if (weights[id]! >= floor) candidates[count++] = id;
  return count;
}

function massOf(candidates: Uint32Array, count: number, weights: Float64Array): number {
  let mass = 0;
  for (let at = 0; at < count; at++) mass += weights[candidates[at]!]!;
  return mass;
}
