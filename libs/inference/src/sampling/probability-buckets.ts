/**
 * Bits of a float32 that are left out: 32 buckets per power of two. Floats that are not negative compare like their bits as
 * integers, so that the bits before them name the bucket, and a probability of 1 is in the last one.
 */
const DROPPED_BITS = 18;
const BUCKETS = (0x3f800000 >>> DROPPED_BITS) + 1;

export type Measure = 'count' | 'mass';

/** How many tokens there are of each size of probability, and how probable they are together. */
export class ProbabilityBuckets {
  private readonly totals = { count: new Float64Array(BUCKETS), mass: new Float64Array(BUCKETS) };
  private bits: Uint32Array = new Uint32Array();
  private floor = 0;

  /**
   * Sorts in what is at least `floor`, which is above 0.
   * @param probabilities read by `ids` too, until the next call
   * @returns how probable all of it is together
   */
  fill(probabilities: Float32Array, floor: number): number {
    const { count, mass } = this.totals;
    count.fill(0);
    mass.fill(0);
    this.floor = floor;
    this.bits = new Uint32Array(probabilities.buffer, probabilities.byteOffset, probabilities.length);
    let total = 0;
    for (let id = 0; id < probabilities.length; id++) {
      const probability = probabilities[id]!;
      if (probability < floor) continue;
      const bucket = bucketOf(this.bits[id]!);
      count[bucket]! += 1;
      mass[bucket]! += probability;
      total += probability;
    }
    return total;
  }

  /**
   * The bucket in which the most probable tokens together reach the target, the last that is not empty if they never do, and
   * what those above it measure.
   */
  reach(measure: Measure, target: number): { bucket: number; above: number } {
    const totals = this.totals[measure];
    let above = 0;
    let last = { bucket: 0, above };
    for (let bucket = BUCKETS - 1; bucket >= 0; bucket--) {
      const total = totals[bucket]!;
      if (total === 0) continue;
      last = { bucket, above };
      above += total;
      if (above >= target) break;
    }
    return last;
  }

  massAbove(bucket: number): number {
    return this.totals.mass.subarray(bucket + 1).reduce((sum, mass) => sum + mass, 0);
  }

  /** The tokens of a bucket in the order of their ids. @returns how many */
  ids(bucket: number, probabilities: Float32Array, into: Uint32Array): number {
    let count = 0;
    for (let id = 0; id < probabilities.length; id++) {
      if (bucketOf(this.bits[id]!) === bucket && probabilities[id]! >= this.floor) into[count++] = id;
    }
    return count;
  }
}

function bucketOf(bits: number): number {
  // Rounding may leave a softmax a trace above 1.
  return Math.min(bits >>> DROPPED_BITS, BUCKETS - 1);
}
