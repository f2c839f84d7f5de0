export interface RateDecision {
  readonly admitted: boolean;
  /** Requests that would be admitted right now, after this one. */
  readonly remaining: number;
  /** Until a request is admitted again; 0 while some remain. */
  readonly retryAfterMs: number;
  /** Until the whole limit is available again. */
  readonly resetAfterMs: number;
}

interface Bucket {
  /** Requests that count at `at`; they drain steadily. */
  level: number;
  at: number;
}

const MINUTE_MS = 60_000;
/** Levels are sums of fractions: a request is not refused for a rounding error. */
const ROUNDING = 1e-6;

/**
 * A leaky bucket per key: `limit` requests at once, and `limit` per minute in the long run. Pure but for its memory,
 * which holds the keys seen lately; times are milliseconds of any clock that does not go backwards.
 */
export class RateLimiter {
  /** The least recently counted key first. */
  private readonly buckets = new Map<string, Bucket>();

  constructor(
    private readonly limit: number,
    /** Beyond that many the least recent one is forgotten, i.e. starts afresh: the price of bounded memory. */
    private readonly maximumKeys = 10_000,
  ) {}

  take(key: string, now: number): RateDecision {
    this.forgetDrained(now);
    const level = this.levelOf(this.buckets.get(key), now);
    const admitted = level + 1 <= this.limit + ROUNDING;
    const after = admitted ? level + 1 : level;
    // Refused requests count as use too, for the order of forgetting: a flood must not free its own bucket.
    this.buckets.delete(key);
    this.buckets.set(key, { level: after, at: now });
    if (this.buckets.size > this.maximumKeys) this.forgetOldest();
    const remaining = Math.max(0, Math.floor(this.limit - after + ROUNDING));
    return {
      admitted,
      remaining,
      retryAfterMs: remaining > 0 ? 0 : this.drainMs(after + 1 - this.limit),
      resetAfterMs: this.drainMs(after),
    };
  }

  get size(): number {
    return this.buckets.size;
  }

  private levelOf(bucket: Bucket | undefined, now: number): number {
    return bucket ? Math.max(0, bucket.level - ((now - bucket.at) * this.limit) / MINUTE_MS) : 0;
  }

  /** Whole milliseconds, rounded up. */
  private drainMs(requests: number): number {
    return Math.ceil((requests * MINUTE_MS) / this.limit - ROUNDING);
  }

  /** An empty bucket is as good as none. Two per request keep up with the one that a request may add. */
  private forgetDrained(now: number): void {
    for (let count = 0; count < 2; count++) {
      const oldest = this.buckets.entries().next();
      if (oldest.done || this.levelOf(oldest.value[1], now) > 0) return;
      this.buckets.delete(oldest.value[0]);
    }
  }

  private forgetOldest(): void {
    const oldest = this.buckets.keys().next();
    if (!oldest.done) this.buckets.delete(oldest.value);
  }
}
