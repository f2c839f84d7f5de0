type Source<T> = AsyncGenerator<T, void, undefined>;

type Arrival<T> =
  | { readonly kind: 'result'; readonly source: Source<T>; readonly result: IteratorResult<T, void> }
  | { readonly kind: 'failure'; readonly error: unknown };

/**
 * The items of all sources in the order in which they arrive. A source runs one item ahead at most, so whoever takes
 * nothing holds back all of them. The first failure ends all; leaving early does too. A source that waits for something
 * only notices once its wait is over: the caller has to cut that short.
 */
export async function* merge<T>(sources: readonly Source<T>[]): AsyncGenerator<T, void, undefined> {
  const arrivals: Arrival<T>[] = [];
  let wake = () => {};
  const arrive = (arrival: Arrival<T>) => {
    arrivals.push(arrival);
    wake();
  };
  const pull = (source: Source<T>) => {
    source.next().then(
      (result) => arrive({ kind: 'result', source, result }),
      (error: unknown) => arrive({ kind: 'failure', error }),
    );
  };
  try {
    sources.forEach(pull);
    for (let running = sources.length; running > 0;) {
      const arrival = arrivals.shift();
      if (!arrival) {
        await new Promise<void>((resolve) => (wake = resolve));
      } else if (arrival.kind === 'failure') {
        throw arrival.error;
      } else if (arrival.result.done) {
        running -= 1;
      } else {
        yield arrival.result.value;
        pull(arrival.source);
      }
    }
  } finally {
    for (const source of sources) source.return().catch(() => undefined);
  }
}
