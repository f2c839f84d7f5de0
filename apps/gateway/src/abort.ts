/** Settles like the promise, or rejects with the signal's reason if that comes first; the promise goes on. */
export function orAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason as Error);
    if (signal.aborted) abort();
    signal.addEventListener('abort', abort, { once: true });
    void promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort));
  });
}

/** Rejects with the signal's reason. */
export function delay(ms: number, signal: AbortSignal): Promise<void> {
  let timer: NodeJS.Timeout;
  const elapsed = new Promise<void>((resolve) => (timer = setTimeout(resolve, ms)));
  return orAborted(elapsed, signal).finally(() => clearTimeout(timer));
}
