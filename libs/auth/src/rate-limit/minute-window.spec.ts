import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { MinuteWindow } from './minute-window';

const MINUTE_MS = 60_000;
const ENTRY_MS = 250;

describe('MinuteWindow', () => {
  it('forgets each use a minute later', () => {
    const window = new MinuteWindow();
    window.add(0);
    window.add(1_000, 2);
    expect([0, 59_999, 60_000, 60_999, 61_000].map((now) => window.total(now))).toEqual([3, 3, 2, 2, 0]);
  });

  it('says when uses are forgotten', () => {
    const window = new MinuteWindow();
    expect([window.forgottenAfterMs(0, 1), window.emptyAfterMs(0)]).toEqual([0, 0]);
    window.add(0);
    window.add(1_000, 2);
    expect([1, 2, 3, 4].map((count) => window.forgottenAfterMs(5_000, count))).toEqual([55_000, 56_000, 56_000, 0]);
    expect(window.emptyAfterMs(5_000)).toBe(56_000);
  });

  it('never counts less than what was used in the last minute, and no more than that of 250 ms before', () => {
    const uses = fc.array(
      fc.record({ at: fc.integer({ min: 0, max: 150_000 }), count: fc.integer({ min: 1, max: 5 }) }),
      {
        maxLength: 200,
      },
    );
    fc.assert(
      fc.property(uses, fc.nat(100_000), (list, after) => {
        const window = new MinuteWindow();
        for (const { at, count } of list) window.add(at, count);
        const now = Math.max(0, ...list.map(({ at }) => at)) + after;
        const usedSince = (from: number) => list.reduce((sum, { at, count }) => sum + (at > from ? count : 0), 0);
        expect(window.total(now)).toBeGreaterThanOrEqual(usedSince(now - MINUTE_MS));
        expect(window.total(now)).toBeLessThanOrEqual(usedSince(now - MINUTE_MS - ENTRY_MS));
        expect(window.total(now)).toBe(window.uses.reduce((sum, { count }) => sum + count, 0));
        const times = window.uses.map(({ at }) => at);
        expect(times).toEqual([...times].sort((a, b) => a - b));
      }),
    );
  });

  it('needs no more memory for more uses', () => {
    const window = new MinuteWindow();
    for (let at = 0; at < MINUTE_MS; at++) window.add(at, 20);
    expect(window.total(MINUTE_MS - 1)).toBe(20 * MINUTE_MS);
    expect(window.uses.length).toBe(MINUTE_MS / ENTRY_MS);
  });
});
