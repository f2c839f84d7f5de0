import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Backoff } from './backoff';

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
