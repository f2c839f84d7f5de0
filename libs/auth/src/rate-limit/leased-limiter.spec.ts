import type { LeasePermitsResponse, PermitGrant } from '@pangalactic/contracts';
import { describe, expect, it } from 'vitest';
import { LeasedLimiter } from './leased-limiter';
import { KEEP_MS, LEASE_MS, RECHECK_MS, REMEMBERED_MS, REPORT_MS } from './permit-timing';
import type { RateDecision } from './rate-limiter';

const MINUTE_MS = 60_000;

function limiterOf(limit: number, maximumCallers?: number) {
  const limiter = new LeasedLimiter(limit, maximumCallers);
  /** The decision, once there is one. */
  const take = (now: number, caller = 'c') => {
    const pending: { decision?: RateDecision } = {};
    limiter.take(caller, now, (decision) => (pending.decision = decision));
    return pending;
  };
  const answer = (changes: Partial<LeasePermitsResponse>, now: number, askedAt = now) =>
    limiter.settle({ term: 1, gateways: 1, recovering: false, grants: [], ...changes }, askedAt, now);
  /** What it asks of its one caller, answered with a grant. */
  const ask = (grant: Partial<PermitGrant>, now: number) => {
    const [demand] = limiter.collect(now);
    answer({ grants: [{ granted: 0, available: 0, retryAfterMs: 0, ...grant }] }, now);
    return demand;
  };
  answer({}, 0);
  return { limiter, take, answer, ask };
}

describe('LeasedLimiter with a hub', () => {
  it('lets a first request wait for a permit, and later ones use what was leased in advance', () => {
    const { take, ask } = limiterOf(100);
    const first = take(0);
    expect(first.decision).toBeUndefined();
    expect(ask({ granted: 1, available: 99 }, 0)).toMatchObject({ limitPerMinute: 100, held: 0, waiting: 1, spare: 0 });
    expect(first.decision).toEqual({ admitted: true, remaining: 99, retryAfterMs: 0, resetAfterMs: MINUTE_MS });
    expect(ask({ granted: 1, available: 98 }, 100)).toMatchObject({ uses: [{ ageMs: 100, count: 1 }], spare: 1 });
    expect(take(200).decision).toMatchObject({ admitted: true, remaining: 98 });
    expect(ask({ granted: 2, available: 96 }, 300)).toMatchObject({ held: 0, spare: 2 });
    expect([take(310), take(310), take(310)].map(({ decision }) => decision?.admitted)).toEqual([
      true,
      true,
      undefined,
    ]);
  });

  it('refuses until the hub has more, asking again meanwhile no more than once a second', () => {
    const { limiter, take, ask } = limiterOf(1);
    const [first, second] = [take(0), take(0)];
    ask({ granted: 1, retryAfterMs: 60_000 }, 0);
    expect(first.decision).toMatchObject({ admitted: true, remaining: 0 });
    const refusal = { admitted: false, remaining: 0, retryAfterMs: 60_000, resetAfterMs: 60_000 };
    expect(second.decision).toEqual(refusal);
    expect(take(400).decision).toEqual({ ...refusal, retryAfterMs: 59_600, resetAfterMs: 59_600 });
    expect(limiter.collect(400)).toEqual([]);
    expect(take(RECHECK_MS).decision).toBeUndefined();
    expect(limiter.collect(RECHECK_MS)).toMatchObject([{ waiting: 1, uses: [{ ageMs: RECHECK_MS, count: 1 }] }]);
  });

  it('uses no permit beyond its lease, which counts from the question', () => {
    const { limiter, take, answer } = limiterOf(10);
    take(0);
    limiter.collect(0);
    answer({ grants: [{ granted: 3, available: 7, retryAfterMs: 0 }] }, 500, 0);
    expect(take(LEASE_MS - 1).decision).toMatchObject({ admitted: true });
    expect(take(LEASE_MS).decision).toBeUndefined();
    expect(limiter.collect(LEASE_MS)).toMatchObject([{ held: 0, waiting: 1 }]);
  });

  it('gives back what a silent caller does not need', () => {
    const { limiter, take, ask } = limiterOf(10);
    take(0);
    ask({ granted: 3, available: 7 }, 0);
    expect(ask({ available: 7 }, REPORT_MS)).toMatchObject({ held: 2 });
    for (let now = REPORT_MS; now <= KEEP_MS; now += REPORT_MS) ask({ available: 7 }, now);
    expect(ask({ available: 9 }, KEEP_MS + REPORT_MS)).toMatchObject({ held: 0, spare: 0 });
    expect(limiter.collect(KEEP_MS + 2 * REPORT_MS)).toEqual([]);
  });

  it('tells again what the hub did not acknowledge', () => {
    const { limiter, take, ask, answer } = limiterOf(10);
    take(0);
    ask({ granted: 1, available: 9 }, 0);
    expect(limiter.collect(REPORT_MS)).toMatchObject([{ uses: [{ ageMs: REPORT_MS, count: 1 }] }]);
    limiter.failed(REPORT_MS);
    answer({}, 2 * REPORT_MS);
    expect(ask({}, 2 * REPORT_MS)).toMatchObject({ uses: [{ ageMs: 2 * REPORT_MS, count: 1 }] });
    expect(limiter.collect(4 * REPORT_MS)).toEqual([]);
  });

  it('tells a hub of another term all of the last minute, and uses no permit of the old one', () => {
    const { limiter, take, ask, answer } = limiterOf(10);
    take(0);
    ask({ granted: 3, available: 7 }, 0);
    take(100);
    ask({}, REPORT_MS);
    answer({ term: 2 }, 1_500);
    expect(limiter.term).toBe(2);
    expect(take(1_600).decision).toBeUndefined();
    expect(ask({ granted: 1 }, 1_600)).toMatchObject({ held: 0, waiting: 1, uses: [{ ageMs: 1_500, count: 2 }] });
  });
});

describe('LeasedLimiter without a hub', () => {
  it('admits its share of the limit in any minute, counting what it admitted before', () => {
    const { limiter, take, ask, answer } = limiterOf(10);
    answer({ gateways: 3 }, 0);
    take(0);
    ask({ granted: 1, available: 9 }, 0);
    answer({ gateways: 3 }, 0);
    limiter.failed(1_000);
    expect(limiter.share).toBe(3);
    const refusal = { admitted: false, remaining: 0, retryAfterMs: 58_000, resetAfterMs: 60_000 };
    expect([take(2_000), take(2_000), take(2_000)].map(({ decision }) => decision)).toEqual([
      { admitted: true, remaining: 1, retryAfterMs: 0, resetAfterMs: 60_000 },
      { admitted: true, remaining: 0, retryAfterMs: 0, resetAfterMs: 60_000 },
      refusal,
    ]);
    expect(take(59_999).decision).toMatchObject({ admitted: false, retryAfterMs: 1 });
    expect(take(60_000).decision).toMatchObject({ admitted: true });
    expect(limiter.collect(60_000)).toMatchObject([{ waiting: 0, spare: 0, held: 0 }]);
  });

  it('admits at least one request, however many gateways there are', () => {
    const { limiter, take, answer } = limiterOf(2);
    answer({ gateways: 5 }, 0);
    limiter.failed(0);
    expect([take(0), take(0)].map(({ decision }) => decision?.admitted)).toEqual([true, false]);
  });

  it.each([
    ['fails', (limiter: LeasedLimiter) => limiter.failed(0)],
    [
      'has just begun to lead',
      (limiter: LeasedLimiter) => limiter.settle({ term: 1, gateways: 1, recovering: true, grants: [] }, 0, 0),
    ],
  ])('decides for those who wait when the hub %s', (_, event) => {
    const { limiter, take } = limiterOf(1);
    const waiting = [take(0), take(0)];
    limiter.collect(0);
    event(limiter);
    expect(waiting.map(({ decision }) => decision?.admitted)).toEqual([true, false]);
    expect(limiter.isLeased).toBe(false);
  });
});

describe('the memory of LeasedLimiter', () => {
  it('forgets callers of whom nothing counts', () => {
    const { limiter, take } = limiterOf(60);
    limiter.failed(0);
    for (let caller = 0; caller < 1_000; caller++) take(0, `old ${caller}`);
    expect(limiter.callers).toBe(1_000);
    for (let minute = 1; minute < 4; minute++) take(minute * REMEMBERED_MS, `new ${minute}`);
    expect(limiter.callers).toBe(2);
  });

  it('is bounded: who was not heard of lately is forgotten, and nobody waits in vain', () => {
    const { limiter, take } = limiterOf(1, 4);
    const waiting = ['a', 'b', 'c', 'd', 'e'].map((caller) => take(0, caller));
    expect(limiter.callers).toBe(3);
    const admitted = waiting.map(({ decision }) => decision?.admitted);
    expect(admitted).toEqual([false, false, undefined, undefined, undefined]);
  });

  it('keeps no caller by name', () => {
    const { limiter, take } = limiterOf(1);
    take(0, 'key 0123456789abcdef');
    const [demand] = limiter.collect(0);
    expect(demand!.caller).toMatch(/^[\w-]{22}$/);
  });
});
