/** Milliseconds on a clock that nobody sets. */
export type Clock = () => number;

export const CLOCK = Symbol('Clock');

export const steadyClock: Clock = () => performance.now();
