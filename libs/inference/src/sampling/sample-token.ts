import type { Sampling } from '@pangalactic/contracts';

/** Index of the largest logit; the lowest index wins a tie. */
export function argmax(logits: Float32Array): number {
  let best = 0;
  for (let id = 1; id < logits.length; id++) if (logits[id]! > logits[best]!) best = id;
  return best;
}

/**
 * Draws a token from softmax(logits / temperature), restricted to the smallest set of most likely tokens whose
 * probability reaches topP (the token that crosses the line is in the set).
 * @param draw uniform in [0, 1)
 */
export function sampleToken(logits: Float32Array, { temperature, topP }: Sampling, draw: number): number {
  if (temperature <= 0) return argmax(logits);
  const weights = softmaxWeights(logits, temperature);
  return topP < 1 ? drawFromNucleus(weights, topP, draw) : drawFrom(weights, draw);
}

/** exp((logit - max) / temperature), not normalised. */
function softmaxWeights(logits: Float32Array, temperature: number): Float64Array {
  const max = logits[argmax(logits)]!;
  const weights = new Float64Array(logits.length);
  for (let id = 0; id < weights.length; id++) weights[id] = Math.exp((logits[id]! - max) / temperature);
  return weights;
}

function sum(values: Float64Array): number {
  let total = 0;
  for (const value of values) total += value;
  return total;
}

function drawFrom(weights: Float64Array, draw: number): number {
  let left = draw * sum(weights);
  let last = 0;
  for (let id = 0; id < weights.length; id++) {
    if (weights[id]! <= 0) continue;
    last = id;
    left -= weights[id]!;
    if (left < 0) return id;
  }
  return last;
}

/** Takes tokens off a heap until the nucleus is full: a whole sort would cost more than the softmax. */
function drawFromNucleus(weights: Float64Array, topP: number, draw: number): number {
  const target = topP * sum(weights);
  const heap = new TokenHeap(weights);
  const nucleus: number[] = [];
  let mass = 0;
  do {
    const id = heap.pop();
    nucleus.push(id);
    mass += weights[id]!;
  } while (mass < target && heap.size > 0);
  let left = draw * mass;
  for (const id of nucleus) {
    left -= weights[id]!;
    if (left < 0) return id;
  }
  return nucleus[nucleus.length - 1]!;
}

/** A binary heap of token ids, heaviest first; equal weights come out in the order of their ids. */
class TokenHeap {
  private readonly ids: Uint32Array;
  size: number;

  constructor(private readonly weights: Float64Array) {
    this.size = weights.length;
    this.ids = Uint32Array.from({ length: this.size }, (_, id) => id);
    for (let at = (this.size >> 1) - 1; at >= 0; at--) this.sink(at);
  }

  pop(): number {
    const top = this.ids[0]!;
    this.ids[0] = this.ids[--this.size]!;
    this.sink(0);
    return top;
  }

  private before(a: number, b: number): boolean {
    const difference = this.weights[a]! - this.weights[b]!;
    return difference > 0 || (difference === 0 && a < b);
  }

  private sink(from: number): void {
    const { ids, size } = this;
    const id = ids[from]!;
    let at = from;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= size) break;
      if (child + 1 < size && this.before(ids[child + 1]!, ids[child]!)) child++;
      if (!this.before(ids[child]!, id)) break;
      ids[at] = ids[child]!;
      at = child;
    }
    ids[at] = id;
  }
}
