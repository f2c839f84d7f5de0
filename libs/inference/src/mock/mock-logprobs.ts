import type { TokenLogprobs } from '@pangalactic/contracts';

/** The chosen token takes half of all probability, and each token after it half of what the one before it has. */
export function mockLogprobs(id: number, topLogprobs: number, vocabSize: number): TokenLogprobs {
  const top = Array.from({ length: Math.min(topLogprobs, vocabSize) }, (_, rank) => ({
    id: (id + rank) % vocabSize,
    logprob: -(rank + 1) * Math.LN2,
  }));
  return { logprob: -Math.LN2, top };
}
