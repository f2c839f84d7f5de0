export interface RateDecision {
  readonly admitted: boolean;
  /** Requests that would be admitted right now, after this one, as far as is known here. */
  readonly remaining: number;
  /** Of a refused request: until one would be admitted. */
  readonly retryAfterMs: number;
  /** Until the whole limit is available again. */
  readonly resetAfterMs: number;
}

/** Counts the requests of a caller: an API key's id or an address. */
export interface RateLimiter {
  take(caller: string): RateDecision | Promise<RateDecision>;
}

export const RATE_LIMITER = Symbol('RateLimiter');
