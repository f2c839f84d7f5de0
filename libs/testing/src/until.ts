import { setTimeout as sleep } from 'node:timers/promises';

export interface UntilOptions {
  readonly timeoutMs: number;
  /** What was awaited, for the error; a function is asked at the end, so that it can tell what it saw last. */
  readonly message: string | (() => string);
  readonly intervalMs?: number;
  readonly signal?: AbortSignal;
}

/**
 * Polls until the condition returns something truthy, and returns that. A condition that throws counts as not yet
 * fulfilled; its last error is the cause of the timeout's.
 */
export async function until<T>(
  condition: () => T | Promise<T>,
  { timeoutMs, message, intervalMs = 50, signal }: UntilOptions,
): Promise<NonNullable<T>> {
  const deadline = performance.now() + timeoutMs;
  let lastError: unknown;
  for (;;) {
    signal?.throwIfAborted();
    try {
      const result = await condition();
      if (result) return result;
      lastError = undefined;
    } catch (error) {
      lastError = error;
    }
    if (performance.now() >= deadline) {
      const awaited = typeof message === 'function' ? message() : message;
      throw new Error(`not within ${timeoutMs} ms: ${awaited}`, { cause: lastError });
    }
    await sleep(intervalMs, undefined, { signal });
  }
}
