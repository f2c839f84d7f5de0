/** Bits of a float32 that are left out: 32 buckets per power of two. */
const DROPPED_BITS = 18;
const BUCKETS = 2 ** (31 - DROPPED_BITS);

/** Used again for each call, which leaves nothing in them that the next one reads. */
const totals = new Float64Array(BUCKETS);
const float = new Float32Array(1);
const bits = new Uint32Array(float.buffer);

/** Where the target is reached: [low, high) of the ids, and what those before `low` measure. */
export interface Narrowed {
  readonly low: number;
  readonly high: number;
  readonly reached: number;
}

/**
 * Moves ids in front that are certainly taken, ids behind that certainly are not, and between them those of the one bucket
 * of similar weights in which the measure reaches the target. Two passes, whatever the weights are.
 */
export function narrow(
  ids: Uint32Array,
  count: number,
  weights: Float64Array,
  target: number,
  measure: (id: number) => number,
): Narrowed {
  totals.fill(0);
  let lightest = BUCKETS;
  let heaviest = 0;
  for (let at = 0; at < count; at++) {
    const id = ids[at]!;
    const bucket = bucketOf(weights[id]!);
    totals[bucket]! += measure(id);
    if (bucket < lightest) lightest = bucket;
    if (bucket > heaviest) heaviest = bucket;
  }
  let reached = 0;
  let limit = heaviest;
  for (; limit > lightest && reached + totals[limit]! < target; limit--) reached += totals[limit]!;
  return { ...partition(ids, count, weights, limit), reached };
}

/** Heavier buckets, then that one, then lighter ones. */
function partition(
  ids: Uint32Array,
  count: number,
  weights: Float64Array,
  limit: number,
): { low: number; high: number } {
  let low = 0;
  let high = count;
  for (let at = 0; at < high;) {
    const id = ids[at]!;
    const bucket = bucketOf(weights[id]!);
    if (bucket > limit) {
      ids[at++] = ids[low]!;
      ids[low++] = id;
    } else if (bucket < limit) {
      ids[at] = ids[--high]!;
      ids[high] = id;
    } else at++;
  }
  return { low, high };
}

/** Positive floats compare like their bits as integers, and rounding keeps their order. */
function bucketOf(weight: number): number {
  float[0] = weight;
  return bits[0]! >>> DROPPED_BITS;
}
