import { setTimeout as sleep } from 'node:timers/promises';
import { TransferError } from './transfer-error';

export interface RetryPolicy {
  /** Attempts in a row that may bring nothing. */
  readonly attempts: number;
  /** Upper bound of the first wait; it doubles with each attempt. */
  readonly firstWaitMs: number;
  readonly longestWaitMs: number;
  /** From [0, 1). */
  readonly random: () => number;
}

export const RETRY_POLICY: RetryPolicy = {
  attempts: 8,
  firstWaitMs: 500,
  longestWaitMs: 30_000,
  random: Math.random,
};

/** Exponential back-off with full jitter, never shorter than what the server asked for. */
export function waitBeforeRetry(failures: number, retryAfterMs: number | undefined, policy: RetryPolicy): number {
  const bound = Math.min(policy.longestWaitMs, policy.firstWaitMs * 2 ** (failures - 1));
  return (retryAfterMs ?? 0) + policy.random() * bound;
}

/**
 * Tries until it works, fails for good, or fails too often in a row.
 * @param attempt calls `progressed` when it got somewhere: earlier failures no longer count then
 */
export async function withRetries<T>(
  attempt: (progressed: () => void) => Promise<T>,
  policy: RetryPolicy,
  signal: AbortSignal,
): Promise<T> {
  let failures = 0;
  for (;;) {
    try {
      return await attempt(() => (failures = 0));
    } catch (error) {
      signal.throwIfAborted();
      if (!(error instanceof TransferError) || !error.retryable) throw error;
      failures += 1;
      if (failures >= policy.attempts) {
        throw new TransferError(`${error.message}, ${failures} times in a row`, { retryable: false, cause: error });
      }
      await sleep(waitBeforeRetry(failures, error.retryAfterMs, policy), undefined, { signal });
    }
  }
}
