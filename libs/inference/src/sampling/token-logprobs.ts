import type { RankedToken, TokenLogprobs } from '@pangalactic/contracts';
import { argmax } from './argmax';

/**
 * Log probabilities in softmax(logits): of the token that was sampled, and of the most likely ones.
 * @param logits as the model computed them
 * @param probabilities softmax(logits)
 */
export function tokenLogprobs(
  logits: Float32Array,
  probabilities: Float32Array,
  id: number,
  topCount: number,
): TokenLogprobs {
  // The most likely token's probability is never too small for a float32, whatever those of the others are.
  const best = argmax(logits);
  const logNormaliser = logits[best]! - Math.log(probabilities[best]!);
  const top = mostLikely(logits, topCount).map((ranked): RankedToken => ({
    id: ranked,
    logprob: logits[ranked]! - logNormaliser,
  }));
  return { logprob: logits[id]! - logNormaliser, top };
}

/** The ids of the largest logits, largest first, equal ones by id. Meant for few: each is kept in its place by insertion. */
function mostLikely(logits: Float32Array, count: number): number[] {
  const ranked: number[] = [];
  const wanted = Math.min(count, logits.length);
  if (wanted === 0) return ranked;
  let threshold = -Infinity;
  for (let id = 0; id < logits.length; id++) {
    const logit = logits[id]!;
    if (ranked.length === wanted) {
      if (logit <= threshold) continue;
      ranked.pop();
    }
    let at = ranked.length;
    while (at > 0 && logits[ranked[at - 1]!]! < logit) at--;
    ranked.splice(at, 0, id);
    threshold = logits[ranked.at(-1)!]!;
  }
  return ranked;
}
