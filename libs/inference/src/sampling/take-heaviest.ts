/**
 * Moves the heaviest of the first `count` ids to the front, as few as it takes for their measure to reach the target, and
 * puts the lightest of them last. A quickselect: linear on average. Among equal weights the lower id counts as the heavier, so
 * that the outcome does not depend on the order given.
 * @param measure what an id adds, above 0
 * @returns how many were taken: at least one, all of them when they do not reach the target
 */
export function takeHeaviest(
  ids: Uint32Array,
  count: number,
  weights: Float32Array,
  target: number,
  measure: (id: number) => number,
): number {
  let [low, high, reached] = [0, count, 0];
  // Taken for certain: ids before `low`, which measure `reached`. Left out for certain: ids from `high` on.
  while (high - low > 1) {
    const pivot = partition(ids, low, high, weights);
    let before = reached;
    for (let at = low; at < pivot; at++) before += measure(ids[at]!);
    if (pivot > low && before >= target) {
      high = pivot;
    } else {
      low = pivot + 1;
      reached = before + measure(ids[pivot]!);
      if (reached >= target) return low;
    }
  }
  return high;
}

/** Orders [low, high) around one of its ids: heavier ones before it, lighter ones after. Returns where that one is. */
function partition(ids: Uint32Array, low: number, high: number, weights: Float32Array): number {
  const last = high - 1;
  swap(ids, medianOfThree(ids, low, last, weights), last);
  const pivot = ids[last]!;
  const pivotWeight = weights[pivot]!;
  let end = low;
  for (let at = low; at < last; at++) {
    const id = ids[at]!;
    const weight = weights[id]!;
    if (weight > pivotWeight || (weight === pivotWeight && id < pivot)) swap(ids, at, end++);
  }
  swap(ids, end, last);
  return end;
}

function medianOfThree(ids: Uint32Array, low: number, last: number, weights: Float32Array): number {
  const middle = (low + last) >>> 1;
  const heavier = (a: number, b: number) => {
    const difference = weights[ids[a]!]! - weights[ids[b]!]!;
    return difference > 0 || (difference === 0 && ids[a]! < ids[b]!);
  };
  const [first, second] = heavier(low, middle) ? [low, middle] : [middle, low];
  if (heavier(last, first)) return first;
  return heavier(last, second) ? last : second;
}

function swap(ids: Uint32Array, a: number, b: number): void {
  const id = ids[a]!;
  ids[a] = ids[b]!;
  ids[b] = id;
}
