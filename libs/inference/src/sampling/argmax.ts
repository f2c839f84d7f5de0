/** Index of the largest logit; the lowest index wins a tie. */
export function argmax(logits: Float32Array): number {
  let best = 0;
  let largest = logits[0]!;
  for (let id = 1; id < logits.length; id++) {
    if (logits[id]! > largest) {
      largest = logits[id]!;
      best = id;
    }
  }
  return best;
}
