import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { formatDuration } from './rate-limit.guard';
import { RateLimiter } from './rate-limiter';

const MINUTE_MS = 60_000;
const limits = fc.integer({ min: 1, max: 1_000_000 });
/** A request every so many milliseconds. */
const gaps = fc.array(
  fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 20_000 }), fc.double({ min: 0, max: 50, noNaN: true })),
  {
    maxLength: 200,
  },
);

describe('RateLimiter', () => {
  it('admits the limit at once, then one per share of the minute', () => {
    const limiter = new RateLimiter(3);
    const at = (now: number) => limiter.take('k', now);
    expect(at(0)).toEqual({ admitted: true, remaining: 2, retryAfterMs: 0, resetAfterMs: 20_000 });
    expect(at(0)).toEqual({ admitted: true, remaining: 1, retryAfterMs: 0, resetAfterMs: 40_000 });
    expect(at(0)).toEqual({ admitted: true, remaining: 0, retryAfterMs: 20_000, resetAfterMs: 60_000 });
    expect(at(0)).toEqual({ admitted: false, remaining: 0, retryAfterMs: 20_000, resetAfterMs: 60_000 });
    expect(at(19_999).admitted).toBe(false);
    expect(at(20_000).admitted).toBe(true);
    expect(at(20_001)).toMatchObject({ admitted: false, retryAfterMs: 19_999 });
  });

  it('counts each key apart', () => {
    const limiter = new RateLimiter(1);
    expect(['a', 'b', 'a', 'b'].map((key) => limiter.take(key, 0).admitted)).toEqual([true, true, false, false]);
  });

  it('never admits more than the limit and its refill in any stretch of time', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 20 }), gaps, (limit, waits) => {
        const limiter = new RateLimiter(limit);
        const admitted: number[] = [];
        let now = 0;
        for (const wait of waits) {
          now += wait;
          if (limiter.take('k', now).admitted) admitted.push(now);
        }
        admitted.forEach((from, first) => {
          admitted.slice(first).forEach((to, count) => {
            expect(count + 1).toBeLessThanOrEqual(limit + ((to - from) * limit) / MINUTE_MS + 1e-3);
          });
        });
      }),
    );
  });

  it('admits again exactly when it says', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 50 }), gaps, (limit, waits) => {
        const limiter = new RateLimiter(limit);
        let now = 0;
        for (const wait of waits) {
          now += wait;
          const decision = limiter.take('k', now);
          expect(decision.remaining > 0).toBe(decision.retryAfterMs === 0);
          if (!decision.admitted) {
            now += decision.retryAfterMs;
            expect(limiter.take('k', now).admitted).toBe(true);
          }
        }
      }),
    );
  });

  it('is as new after the time of the reset', () => {
    fc.assert(
      fc.property(limits, gaps, (limit, waits) => {
        const limiter = new RateLimiter(limit);
        let now = 0;
        let reset = 0;
        for (const wait of waits) {
          now += wait;
          reset = limiter.take('k', now).resetAfterMs;
        }
        expect(limiter.take('k', now + reset).remaining).toBe(limit - 1);
      }),
    );
  });

  it('forgets keys whose bucket has drained', () => {
    const limiter = new RateLimiter(60);
    for (let key = 0; key < 1000; key++) limiter.take(`old ${key}`, 0);
    expect(limiter.size).toBe(1000);
    for (let request = 0; request < 500; request++) limiter.take('new', MINUTE_MS + request);
    expect(limiter.size).toBe(1);
  });

  it('remembers no more keys than it may, and forgets the least recent first', () => {
    const limiter = new RateLimiter(1, 3);
    for (const key of ['a', 'b', 'c']) limiter.take(key, 0);
    expect(limiter.take('a', 0).admitted).toBe(false);
    limiter.take('d', 0);
    expect(limiter.size).toBe(3);
    expect(limiter.take('a', 0).admitted).toBe(false);
    expect(limiter.take('b', 0).admitted).toBe(true);
  });
});

describe('formatDuration', () => {
  it.each([
    [0, '0ms'],
    [120, '120ms'],
    [999, '999ms'],
    [1000, '1s'],
    [1001, '2s'],
    [59_001, '1m0s'],
    [60_000, '1m0s'],
    [61_500, '1m2s'],
  ])('%d ms is %s', (milliseconds, text) => {
    expect(formatDuration(milliseconds)).toBe(text);
  });
});
