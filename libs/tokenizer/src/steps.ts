/**
 * A computation that can be interrupted wherever it yields, which it does every millisecond or so: a process that has other
 * things to do goes on with it later.
 */
export type Steps<T> = Generator<void, T, void>;

export function runToEnd<T>(steps: Steps<T>): T {
  for (;;) {
    const { done, value } = steps.next();
    if (done) return value;
  }
}
