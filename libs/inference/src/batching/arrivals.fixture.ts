import { seededRandom } from '@pangalactic/testing';
import type { Arrival } from './pipeline-simulator.fixture';

export interface Load {
  readonly count: number;
  /** Between arrivals, exponentially distributed. */
  readonly meanGapMs: number;
  /** Of callers who go away before their answer is complete. */
  readonly cancelShare: number;
}

/** Arrivals of a Poisson process: short and long prompts, a third of which begin with one of two shared system prompts. */
export function randomArrivals(seed: number, { count, meanGapMs, cancelShare }: Load): Arrival[] {
  const random = seededRandom(seed);
  const integer = (from: number, to: number) => from + Math.floor(random() * (to - from));
  let atMs = 0;
  return Array.from({ length: count }, (_, index) => {
    atMs -= Math.log(1 - random()) * meanGapMs;
    const shared = random() < 1 / 3 ? Array.from({ length: 200 }, (_, token) => token + 200 * integer(0, 2)) : [];
    const own = Array.from({ length: integer(1, random() < 0.2 ? 1_200 : 150) }, (_, token) => 10_000 * index + token);
    return {
      atMs,
      promptIds: [...shared, ...own],
      outputTokens: integer(1, 100),
      ...(random() < cancelShare ? { cancelAfterMs: integer(0, 5_000) } : {}),
    };
  });
}
