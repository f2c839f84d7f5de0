/** Values from callbacks, for one reader that pulls. Its users bound it: nothing here drops or refuses. */
export class AsyncQueue<T> implements AsyncIterableIterator<T> {
  private readonly values: T[] = [];
  private ended = false;
  private error: Error | undefined;
  private wake: (() => void) | undefined;

  get length(): number {
    return this.values.length;
  }

  push(value: T): void {
    if (this.ended) return;
    this.values.push(value);
    this.wake?.();
  }

  /** The reader gets what was pushed before, then the end. */
  end(): void {
    this.ended = true;
    this.wake?.();
  }

  /** The reader gets what was pushed before, then the error. */
  fail(error: Error): void {
    if (this.ended) return;
    this.error = error;
    this.end();
  }

  async next(): Promise<IteratorResult<T, undefined>> {
    for (;;) {
      if (this.values.length > 0) return { value: this.values.shift() as T, done: false };
      if (this.error) throw this.error;
      if (this.ended) return { value: undefined, done: true };
      await new Promise<void>((resolve) => (this.wake = resolve));
    }
  }

  async return(): Promise<IteratorResult<T, undefined>> {
    this.values.length = 0;
    this.end();
    return { value: undefined, done: true };
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}
