/** Where the time of one decode step went, in milliseconds. */
export interface DecodeStepTimes {
  /** Of each stage. */
  readonly computeMs: readonly number[];
  /** On all hops and back to the head: neither computing nor waiting for a stage. */
  readonly transferMs: number;
}

/** Steps between two decisions. Their median counts, so that a pause of a process or a chunk that holds up a hop does not. */
const WINDOW_STEPS = 16;
/** Part of a step that is not worth a group more: weights are read once per group. */
const SLACK = 0.2;
/** How far beyond its bounds a count is kept: the times follow the count, and it must not swing with them. */
const HYSTERESIS = 0.25;

/**
 * How many groups of decoding sequences keep the slowest stage busy: as many steps as it can compute while one makes its
 * round trip, at least one per stage. Learnt from live steps, because hops may be slow and nobody says so beforehand.
 */
export class MicroBatches {
  private current: number;
  private roundTrips: number[] = [];

  constructor(private readonly stages: number) {
    this.current = stages;
  }

  get count(): number {
    return this.current;
  }

  observe(times: DecodeStepTimes): void {
    // A single stage has no hops to fill; what it takes to reach its worker is no time in which others could compute.
    if (this.stages === 1 || !(Math.max(...times.computeMs) > 0)) return;
    this.roundTrips.push(roundTripOf(times));
    if (this.roundTrips.length < WINDOW_STEPS) return;
    this.current = nextCount(this.current, median(this.roundTrips), this.stages);
    this.roundTrips = [];
  }
}

/** A step's way through all stages and back when nothing is in its way, over what the slowest stage computes of it. */
export function roundTripOf({ computeMs, transferMs }: DecodeStepTimes): number {
  return (computeMs.reduce((total, ms) => total + ms, 0) + transferMs) / Math.max(...computeMs);
}

/** @param roundTrip in steps of the slowest stage */
export function nextCount(current: number, roundTrip: number, stages: number): number {
  const needed = roundTrip - SLACK;
  const isNear = needed <= current + HYSTERESIS && needed > current - 1 - HYSTERESIS;
  return isNear ? current : Math.max(stages, Math.ceil(needed));
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[values.length >> 1]!;
}
