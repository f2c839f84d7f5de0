import { seededRandom } from '@pangalactic/testing';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Backoff, reconnectBackoff } from './backoff';

const almostOne = 1 - Number.EPSILON;

describe('Backoff', () => {
  it('doubles its ceiling up to the maximum, and starts again after a success', () => {
    const backoff = new Backoff({ initialMs: 100, maxMs: 1_000, random: () => almostOne });
    const delays = () => Array.from({ length: 6 }, () => Math.round(backoff.nextDelayMs()));
    expect(delays()).toEqual([100, 200, 400, 800, 1_000, 1_000]);
    backoff.reset();
    expect(delays()[0]).toBe(100);
  });

  it('spreads over the whole range below the ceiling', () => {
    fc.assert(
      fc.property(fc.double({ min: 0, max: almostOne, noNaN: true }), fc.nat(2_000), (fraction, failures) => {
        const backoff = new Backoff({ initialMs: 50, maxMs: 700, random: () => fraction });
        for (let failure = 0; failure < failures; failure += 1) backoff.nextDelayMs();
        expect(backoff.nextDelayMs()).toBe(fraction * Math.min(700, 50 * 2 ** failures));
      }),
    );
  });
});

describe('reconnectBackoff', () => {
  const NODES = 1_000;
  const WINDOW_MS = 100;

  /** When each of many nodes, which lost their hub at the same moment, reaches it again, counted from its return. */
  function returns(heartbeatIntervalMs: number, awayMs: number): number[] {
    const random = seededRandom(7);
    return Array.from({ length: NODES }, () => {
      const backoff = reconnectBackoff(heartbeatIntervalMs, random);
      let at = 0;
      while (at < awayMs) at += backoff.nextDelayMs();
      return at - awayMs;
    });
  }

  it.each([
    // After a long absence: at most twice the mean density of the longest pause.
    { intervalMs: 5_000, awayMs: 60_000, share: 0.06 },
    { intervalMs: 5_000, awayMs: 10_000, share: 0.06 },
    { intervalMs: 5_000, awayMs: 2_000, share: 0.1 },
    { intervalMs: 1_000, awayMs: 60_000, share: 0.25 },
    { intervalMs: 60_000, awayMs: 60_000, share: 0.06 },
  ])('spreads nodes with beats every $intervalMs ms after $awayMs ms, all in time', ({ intervalMs, awayMs, share }) => {
    const waits = returns(intervalMs, awayMs);
    expect(Math.max(...waits)).toBeLessThanOrEqual(Math.min(5_000, intervalMs));
    const windows = new Map<number, number>();
    for (const wait of waits) {
      const window = Math.floor(wait / WINDOW_MS);
      windows.set(window, (windows.get(window) ?? 0) + 1);
    }
    expect(Math.max(...windows.values())).toBeLessThan(share * NODES);
  });
});
