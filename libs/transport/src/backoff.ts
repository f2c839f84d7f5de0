export interface BackoffOptions {
  readonly initialMs: number;
  readonly maxMs: number;
  /** Uniform in [0, 1). */
  readonly random: () => number;
}

/** Exponential growth with full jitter: waiting times of peers that failed together spread out at once. */
export class Backoff {
  private attempts = 0;

  constructor(private readonly options: BackoffOptions) {}

  /** How long to wait before the next attempt. */
  nextDelayMs(): number {
    const { initialMs, maxMs, random } = this.options;
    const ceiling = Math.min(maxMs, initialMs * 2 ** this.attempts);
    this.attempts += 1;
    return random() * ceiling;
  }

  /** After a success: the next failure starts from the beginning. */
  reset(): void {
    this.attempts = 0;
  }
}

/**
 * Between a node's attempts to reach its hub. A hub that restarts waits for its nodes for one heartbeat timeout, which is
 * three intervals: each has made an attempt by then, and not all at once.
 */
export function reconnectBackoff(heartbeatIntervalMs: number, random: () => number): Backoff {
  return new Backoff({ initialMs: 200, maxMs: Math.min(5_000, heartbeatIntervalMs), random });
}
