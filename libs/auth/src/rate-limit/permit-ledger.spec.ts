import type { PermitDemand } from '@pangalactic/contracts';
import { describe, expect, it } from 'vitest';
import { PermitLedger } from './permit-ledger';
import { GATEWAY_SILENCE_MS, LEASE_MS, RECOVERY_MS, REMEMBERED_MS } from './permit-timing';

const demand = (changes: Partial<PermitDemand> = {}): PermitDemand => ({
  caller: 'c',
  limitPerMinute: 10,
  uses: [],
  held: 0,
  waiting: 0,
  spare: 0,
  ...changes,
});

/** One that has recovered already at time 0. */
function ledgerOf(gateways: readonly string[] = [], maximumCallers?: number) {
  const ledger = new PermitLedger(1, -RECOVERY_MS, maximumCallers);
  const ask = (gateway: string, changes: Partial<PermitDemand>, now = 0) =>
    ledger.lease(gateway, 1, [demand(changes)], now).grants[0]!;
  for (const gateway of gateways) ledger.lease(gateway, 1, [], 0);
  return { ledger, ask };
}

describe('PermitLedger', () => {
  it('grants those who wait what there is, and says when there is more', () => {
    const { ask } = ledgerOf();
    expect(ask('a', { waiting: 7 })).toEqual({ granted: 7, available: 3, retryAfterMs: 0 });
    // Used by now: told a moment later, and another gateway gets the rest.
    expect(ask('a', { uses: [{ ageMs: 0, count: 7 }] }, 100)).toEqual({ granted: 0, available: 3, retryAfterMs: 0 });
    expect(ask('b', { waiting: 7 }, 1_000)).toEqual({ granted: 3, available: 0, retryAfterMs: 59_100 });
    ask('b', { uses: [{ ageMs: 500, count: 3 }] }, 1_500);
    expect(ask('b', { waiting: 1 }, 60_099)).toEqual({ granted: 0, available: 0, retryAfterMs: 1 });
    expect(ask('b', { waiting: 8 }, 60_100)).toEqual({ granted: 7, available: 0, retryAfterMs: 900 });
  });

  it('leases in advance no more than leaves as much for each other gateway', () => {
    const { ask } = ledgerOf(['a', 'b', 'c', 'd']);
    expect(ask('a', { waiting: 5, spare: 10 })).toMatchObject({ granted: 6, available: 4 });
    expect(ask('b', { spare: 10 })).toMatchObject({ granted: 0, available: 4 });
    expect(ask('b', { waiting: 1 })).toMatchObject({ granted: 1, available: 3 });
  });

  it('takes back what a gateway holds no more, and counts what it is silent about as used', () => {
    const { ask } = ledgerOf();
    ask('a', { waiting: 4 });
    ask('b', { waiting: 6 });
    expect(ask('a', { uses: [{ ageMs: 10, count: 1 }], held: 1 }, 1_000)).toMatchObject({ available: 2 });
    // All that is known of b is that its lease ran out.
    expect(ask('a', { held: 1 }, LEASE_MS)).toMatchObject({ available: 2 });
    const minuteLater = LEASE_MS + 60_000;
    expect([minuteLater - 1, minuteLater].map((now) => ask('a', {}, now).available)).toEqual([4, 10]);
  });

  it('says when permits out on lease may come back', () => {
    const { ask } = ledgerOf();
    ask('a', { waiting: 10 });
    expect(ask('b', { waiting: 1 }, 1_000)).toEqual({ granted: 0, available: 0, retryAfterMs: LEASE_MS - 1_000 });
  });

  it('waits for enough to be forgotten after more than the limit was admitted', () => {
    const { ask } = ledgerOf();
    const uses = [10_000, 8_000, 6_000].map((ageMs) => ({ ageMs, count: 4 }));
    expect(ask('a', { uses, waiting: 1 })).toEqual({ granted: 0, available: 0, retryAfterMs: 50_000 });
    expect(ask('b', { limitPerMinute: 8, waiting: 1 })).toEqual({ granted: 0, available: 0, retryAfterMs: 52_000 });
  });

  it('grants nothing while it recovers, and listens', () => {
    const ledger = new PermitLedger(3, 0);
    const told = demand({ uses: [{ ageMs: 30_000, count: 10 }], waiting: 1 });
    expect(ledger.lease('a', 3, [told], 1_000)).toMatchObject({
      recovering: true,
      gateways: 1,
      grants: [{ granted: 0 }],
    });
    const later = ledger.lease('b', 3, [demand({ waiting: 1 })], RECOVERY_MS);
    expect(later).toMatchObject({ recovering: false, gateways: 2, grants: [{ granted: 0, available: 0 }] });
  });

  it('ignores demands for another hub', () => {
    const { ledger, ask } = ledgerOf();
    expect(ledger.lease('a', 0, [demand({ waiting: 5 })], 0)).toEqual({
      term: 1,
      gateways: 1,
      recovering: false,
      grants: [],
    });
    expect(ask('a', { waiting: 10 })).toMatchObject({ granted: 10 });
  });

  it('counts the gateways that it hears', () => {
    const { ledger } = ledgerOf(['a', 'b']);
    expect(ledger.lease('a', 1, [], GATEWAY_SILENCE_MS - 1).gateways).toBe(2);
    expect(ledger.lease('a', 1, [], GATEWAY_SILENCE_MS).gateways).toBe(1);
  });

  it('forgets callers of whom nothing counts, and beyond its bound those who were not heard of lately', () => {
    const { ledger, ask } = ledgerOf([], 100);
    for (let caller = 0; caller < 1_000; caller++) ask('a', { caller: `old ${caller}`, waiting: 1 });
    expect(ledger.callers).toBeLessThanOrEqual(100);
    expect(ask('a', { caller: 'old 999', held: 1 })).toMatchObject({ available: 9 });
    expect(ask('a', { caller: 'old 0' })).toMatchObject({ available: 10 });
    for (let minute = 1; minute < 4; minute++)
      ask('a', { caller: `new ${minute}`, waiting: 1 }, minute * REMEMBERED_MS);
    expect(ledger.callers).toBe(2);
  });
});
