/**
 * Remembers each key for a time after it was used last, and no more than `maximum` of them: beyond that those are forgotten
 * first that were not used lately. In two generations, because the order that a Map keeps is slow to use as a queue: its
 * iterators step over every key that was deleted.
 */
export class RecentMap<T> {
  private young = new Map<string, T>();
  private old = new Map<string, T>();
  private youngSince = -Infinity;

  constructor(
    private readonly maximum: number,
    private readonly lifetimeMs: number,
    private readonly create: () => T,
    private readonly onForgotten: (value: T, now: number) => void = () => undefined,
  ) {}

  get size(): number {
    return this.young.size + this.old.size;
  }

  /** The value of the key, which counts as used; a new one if it is not known. */
  use(key: string, now: number): T {
    const young = this.young.get(key);
    if (young) return young;
    if (this.young.size + 1 > this.maximum / 2 || now - this.youngSince >= this.lifetimeMs) this.beginGeneration(now);
    const value = this.old.get(key) ?? this.create();
    this.old.delete(key);
    this.young.set(key, value);
    return value;
  }

  get(key: string): T | undefined {
    return this.young.get(key) ?? this.old.get(key);
  }

  *entries(): Generator<[string, T]> {
    yield* this.young;
    yield* this.old;
  }

  private beginGeneration(now: number): void {
    for (const value of this.old.values()) this.onForgotten(value, now);
    this.old = this.young;
    this.young = new Map();
    this.youngSince = now;
  }
}
