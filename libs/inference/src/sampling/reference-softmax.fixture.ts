import type { Softmax } from './softmax';

/** In float64, rounded once at the end. */
export const referenceSoftmax: Softmax = async (logits, temperature) => {
  const largest = logits.reduce((a, b) => Math.max(a, b), -Infinity);
  const weights = Float64Array.from(logits, (logit) => Math.exp((logit - largest) / temperature));
  const total = weights.reduce((a, b) => a + b, 0);
  return Float32Array.from(weights, (weight) => weight / total);
};
