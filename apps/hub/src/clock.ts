import type { Milliseconds } from '@pangalactic/scheduler';

export interface Clock {
  now(): Milliseconds;
}

export const CLOCK = Symbol('Clock');

/** Unix time that follows the monotonic clock: a corrected system time must not look like silent nodes. */
export const steadyClock: Clock = { now: () => performance.timeOrigin + performance.now() };
