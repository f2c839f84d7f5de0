import { MinHeap } from './min-heap';
import type { Steps } from './steps';

/** Symbols of a text are numbered below this; times the ranks of a vocabulary, that still is an exact number. */
const SYMBOL_LIMIT = 2 ** 31;
const NO_SYMBOL = -1;
/** Proposals, merges or symbols between two yields: well under a millisecond. */
const STEP_LENGTH = 512;

/**
 * The loop of every byte-pair encoding, in llama.cpp's order: of all neighbours that may merge, those with the lowest rank
 * do so first, the leftmost of equals, until none may. Takes about n log n time.
 *
 * @param starts where each symbol begins and, as its last element, where the last one ends
 * @param rankOf how early the symbols from `start` to `middle` and from there to `end` merge; undefined if they never do
 * @returns the same for the symbols that are left
 */
export function* mergeNeighbours(
  starts: Int32Array,
  rankOf: (start: number, middle: number, end: number) => number | undefined,
): Steps<number[]> {
  const count = starts.length - 1;
  const next = new Int32Array(count + 1);
  const previous = new Int32Array(count + 1);
  for (let symbol = 0; symbol <= count; symbol++) {
    next[symbol] = symbol + 1;
    previous[symbol] = symbol - 1;
  }
  /** Merges by urgency: their rank, then the left symbol. */
  const queue = new MinHeap();
  /** For each symbol, how urgently it wants to merge with its right neighbour: other entries of the queue are out of date. */
  const urgencies = new Float64Array(count).fill(Infinity);

  const propose = (left: number): void => {
    const right = next[left]!;
    const rank = right < count ? rankOf(starts[left]!, starts[right]!, starts[next[right]!]!) : undefined;
    const urgency = rank === undefined ? Infinity : rank * SYMBOL_LIMIT + left;
    urgencies[left] = urgency;
    if (rank !== undefined) queue.push(urgency);
  };

  let work = 0;
  for (let left = 0; left < count; left++) {
    propose(left);
    if (++work % STEP_LENGTH === 0) yield;
  }

  for (let urgency = queue.pop(); urgency !== undefined; urgency = queue.pop()) {
    if (++work % STEP_LENGTH === 0) yield;
    const left = urgency % SYMBOL_LIMIT;
    if (urgencies[left] !== urgency) continue;

    const right = next[left]!;
    const following = next[right]!;
    next[left] = following;
    previous[following] = left;
    urgencies[right] = Infinity;
    if (previous[left] !== NO_SYMBOL) propose(previous[left]!);
    propose(left);
  }

  const remaining: number[] = [];
  for (let symbol = 0; symbol < count; symbol = next[symbol]!) {
    remaining.push(starts[symbol]!);
    if (++work % STEP_LENGTH === 0) yield;
  }
  remaining.push(starts[count]!);
  return remaining;
}
