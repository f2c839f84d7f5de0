import { type Filters, isKept, tokenCutoff } from './token-cutoff';

/**
 * Draws a token from the probabilities as far as min_p, top_k and top_p leave it.
 *
 * The draw walks the tokens in the order of their ids, whatever their weights: logits that differ in the last bits, as
 * those of a batch and of a single sequence do, then give the same token except at the very edge of its interval.
 * @param probabilities [vocab] float32 that add up to 1
 * @param draw uniform in [0, 1)
 * @param candidates room for as many ids
 */
export function sampleToken(
  probabilities: Float32Array,
  filters: Filters,
  draw: number,
  candidates: Uint32Array,
): number {
  const cutoff = tokenCutoff(filters, probabilities, candidates);
  let left = draw * (cutoff?.mass ?? 1);
  let last = 0;
  for (let id = 0; id < probabilities.length; id++) {
    const probability = probabilities[id]!;
    if (probability === 0 || (cutoff && !isKept(id, probability, cutoff))) continue;
    last = id;
    left -= probability;
    if (left < 0) break;
  }
  return last;
}
