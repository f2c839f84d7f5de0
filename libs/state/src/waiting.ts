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

/** Lets those who want to lead do so one after another, in the order of the calls. */
export class LeadershipQueue {
  private last: Promise<void> = Promise.resolve();

  /**
   * Resolves when it is the caller's turn, with the function that ends it.
   * @throws PangalacticError the signal's reason
   */
  async enter(signal: AbortSignal): Promise<() => void> {
    const previous = this.last;
    let leave = () => {};
    this.last = new Promise((resolve) => (leave = resolve));
    try {
      await orAborted(previous, signal);
      return leave;
    } catch (error) {
      void previous.then(leave);
      throw error;
    }
  }
}
