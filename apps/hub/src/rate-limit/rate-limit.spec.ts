import type { LeasePermitsRequest, PermitDemand } from '@pangalactic/contracts';
import { afterEach, describe, expect, it } from 'vitest';
import { CLOCK, steadyClock, type Clock } from '../clock';
import { closeAll, DEADLINE, startHub } from '../hub.fixture';

afterEach(closeAll);

const demand = (changes: Partial<PermitDemand> = {}): PermitDemand => ({
  caller: 'c',
  limitPerMinute: 10,
  uses: [],
  held: 0,
  waiting: 1,
  spare: 0,
  ...changes,
});

/** The time of a hub can be put forward. */
function movableClock(): { readonly clock: Clock; readonly skip: (ms: number) => void } {
  let skipped = 0;
  return { clock: { now: () => steadyClock.now() + skipped }, skip: (ms) => void (skipped += ms) };
}

async function startRateLimit(sqlitePath?: string) {
  const { clock, skip } = movableClock();
  const hub = await startHub({ sqlitePath, providers: [{ provide: CLOCK, useValue: clock }] });
  const ask = (gatewayId: string, term: number, ...demands: PermitDemand[]) =>
    hub.client.leasePermits({ gatewayId, term, demands }, DEADLINE);
  return { hub, skip, ask };
}

describe('permits of the hub', () => {
  it('are counted over all gateways, once it has led for a while', async () => {
    const { ask, skip } = await startRateLimit();
    const { term } = await ask('a', 0);
    expect(await ask('a', term, demand())).toMatchObject({ recovering: true, grants: [{ granted: 0 }] });
    skip(8_000);
    expect(await ask('a', term, demand({ waiting: 7 }))).toMatchObject({ recovering: false, grants: [{ granted: 7 }] });
    const { gateways, grants } = await ask('b', term, demand({ waiting: 7 }), demand({ caller: 'd', waiting: 2 }));
    expect(gateways).toBe(2);
    expect(grants).toMatchObject([
      { granted: 3, available: 0 },
      { granted: 2, available: 8 },
    ]);
  });

  it('are no second full minute after a restart: gateways tell the next hub what they admitted', async () => {
    const first = await startRateLimit();
    const { term } = await first.ask('a', 0);
    first.skip(8_000);
    expect((await first.ask('a', term, demand({ waiting: 10 }))).grants).toMatchObject([{ granted: 10 }]);
    await first.hub.close();

    const second = await startRateLimit(first.hub.sqlitePath);
    // Meant for the hub before: ignored.
    const { term: next, grants } = await second.ask('a', term, demand());
    expect([next, grants]).toEqual([term + 1, []]);
    const told = demand({ waiting: 0, uses: [{ ageMs: 5_000, count: 10 }] });
    expect(await second.ask('a', next, told)).toMatchObject({ recovering: true });
    expect(await second.ask('b', next, demand())).toMatchObject({ recovering: true, grants: [{ granted: 0 }] });
    second.skip(8_000);
    expect(await second.ask('b', next, demand())).toMatchObject({ grants: [{ granted: 0, available: 0 }] });
    second.skip(60_000);
    expect(await second.ask('b', next, demand())).toMatchObject({ grants: [{ granted: 1 }] });
  });

  it('go on after callers that cancel or run out of time', async () => {
    const { hub, ask } = await startRateLimit();
    const request: LeasePermitsRequest = { gatewayId: 'a', term: 0, demands: [] };
    const leaving = new AbortController();
    const cancelled = hub.client.leasePermits(request, { ...DEADLINE, signal: leaving.signal });
    leaving.abort();
    await expect(cancelled).rejects.toMatchObject({ code: 'cancelled' });
    const late = hub.client.leasePermits(request, { deadlineMs: 1 });
    for (const end = performance.now() + 20; performance.now() < end;);
    await expect(late).rejects.toMatchObject({ code: 'deadline_exceeded' });
    expect(await ask('b', 0)).toMatchObject({ grants: [] });
  });

  it('refuse what no gateway asks', async () => {
    const { hub, ask } = await startRateLimit();
    const questions: [Partial<LeasePermitsRequest>, string][] = [
      [{ gatewayId: '' }, 'gateway_id: 0; allowed: 1 to 128 characters'],
      [{ gatewayId: 'x'.repeat(129) }, 'gateway_id: 129; allowed: 1 to 128 characters'],
      [{ demands: Array<PermitDemand>(1_001).fill(demand()) }, 'demands: 1001; allowed: at most 1000'],
      [{ demands: [demand({ caller: '' })] }, 'caller: 0; allowed: 1 to 128 characters'],
      [{ demands: [demand({ limitPerMinute: 0 })] }, 'limit_per_minute: 0; allowed: at least 1'],
      [{ demands: [demand({ uses: Array(1_001).fill({ ageMs: 0, count: 1 }) })] }, 'uses: 1001; allowed: at most 1000'],
    ];
    for (const [question, message] of questions) {
      const refused = hub.client.leasePermits({ gatewayId: 'a', term: 0, demands: [], ...question }, DEADLINE);
      await expect(refused).rejects.toMatchObject({ code: 'invalid_request', message });
    }
    expect(await ask('a', 0)).toMatchObject({ gateways: 1 });
  });
});
