import { PangalacticError } from '@pangalactic/contracts';

/** Settles like the promise, or rejects with the signal's reason as soon as that aborts. */
export function orAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  if (signal.aborted) return Promise.reject(reasonOf(signal));
  return new Promise((resolve, reject) => {
    const abort = () => reject(reasonOf(signal));
    signal.addEventListener('abort', abort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort));
  });
}

function reasonOf(signal: AbortSignal): PangalacticError {
  const { reason } = signal as { readonly reason: unknown };
  return reason instanceof PangalacticError ? reason : new PangalacticError('cancelled', 'nobody waits any more');
}

/** Lets operations run one at a time, in the order of the calls. */
export class OperationQueue {
  private last: Promise<unknown> = Promise.resolve();

  run<T>(operation: () => Promise<T>): Promise<T> {
    const result = this.last.then(operation);
    this.last = result.catch(() => undefined);
    return result;
  }

  /** Resolves when the operation asked for last has ended. */
  async idle(): Promise<void> {
    await this.last;
  }
}
