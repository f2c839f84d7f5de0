import type { PangalacticError } from '@pangalactic/contracts';

/** The moment after which a call carries nothing more, and why. Readers and writers wait for it beside their streams. */
export class CallEnd {
  private state: { readonly error: PangalacticError | undefined } | undefined;
  private readonly listeners = new Set<() => void>();

  get reached(): boolean {
    return this.state !== undefined;
  }

  /** Undefined also when the call ended well. */
  get error(): PangalacticError | undefined {
    return this.state?.error;
  }

  /** The first one counts. */
  reach(error?: PangalacticError): void {
    if (this.state) return;
    this.state = { error };
    for (const listener of this.listeners) listener();
    this.listeners.clear();
  }

  /** @returns takes the listener away again */
  onReached(listener: () => void): () => void {
    if (this.state) listener();
    else this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  /** Waits for the end, but not longer than this. */
  async reachedWithin(milliseconds: number): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    let stopListening: (() => void) | undefined;
    await new Promise<void>((resolve) => {
      timer = setTimeout(resolve, milliseconds);
      stopListening = this.onReached(resolve);
    });
    clearTimeout(timer);
    stopListening?.();
  }
}
