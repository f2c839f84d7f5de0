import { PermitLedger } from '@pangalactic/auth';
import type { LeasePermitsRequest } from '@pangalactic/contracts';
import { PangalacticError } from '@pangalactic/contracts';
import { until } from '@pangalactic/testing';
import { afterEach, expect, it } from 'vitest';
import { startGateway, untilReady } from './gateway-harness';
import type { RunningGateway } from './gateway-harness';
import { ScriptedCluster } from './scripted-cluster';

const KEY = 'sk-limited';
const LIMITED = { GATEWAY_API_KEY: KEY, GATEWAY_RATE_LIMIT_RPM: '4' };
const waits = { timeoutMs: 10_000, intervalMs: 10 };

const closers: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

async function start(prepare: (cluster: ScriptedCluster) => void): Promise<RunningGateway> {
  const gateway = await startGateway(LIMITED, (cluster) => {
    cluster.deploy('p1');
    prepare(cluster);
  });
  closers.push(() => gateway.stop());
  await untilReady(gateway.url);
  return gateway;
}

/** What a hub that has led for long answers; the questions end up in the list. */
function leasing(questions: LeasePermitsRequest[]) {
  const ledger = new PermitLedger(7, -60_000);
  return (request: LeasePermitsRequest) => {
    questions.push(request);
    return Promise.resolve(ledger.lease(request.gatewayId, request.term, request.demands, performance.now()));
  };
}

const get = ({ url }: RunningGateway) => fetch(`${url}/v1/models`, { headers: { authorization: `Bearer ${KEY}` } });
const statuses = async (gateway: RunningGateway, count: number) =>
  (await Promise.all(Array.from({ length: count }, () => get(gateway)))).map(({ status }) => status).sort();

it('requests are admitted from permits of the hub, which learns no key', async () => {
  const questions: LeasePermitsRequest[] = [];
  const gateway = await start((cluster) => (cluster.leasePermits = leasing(questions)));
  expect(await statuses(gateway, 6)).toEqual([200, 200, 200, 200, 429, 429]);
  const used = () => questions.flatMap(({ demands }) => demands.flatMap(({ uses }) => uses.map(({ count }) => count)));
  await until(() => used().reduce((sum, count) => sum + count, 0) === 4, {
    ...waits,
    message: 'all uses are reported',
  });
  expect(JSON.stringify(questions)).not.toContain(KEY);
  expect(new Set(questions.map(({ gatewayId }) => gatewayId)).size).toBe(1);
});

it('a standby names the leader, which is asked from then on', async () => {
  const questions: LeasePermitsRequest[] = [];
  const leader = await ScriptedCluster.start();
  closers.push(() => leader.stop());
  leader.leasePermits = leasing(questions);
  let refusals = 0;
  const gateway = await start((cluster) => {
    cluster.leasePermits = () => {
      refusals += 1;
      return Promise.reject(new PangalacticError('not_leader', 'a standby', { redirectTo: leader.address }));
    };
  });
  expect(await statuses(gateway, 5)).toEqual([200, 200, 200, 200, 429]);
  expect(refusals).toBe(1);
});

it.each([
  ['answers nothing', () => new Promise<never>(() => undefined)],
  ['refuses', () => Promise.reject(new PangalacticError('internal_error', 'a defect'))],
])('a hub that %s holds up no request for long: the gateway decides alone', async (_, leasePermits) => {
  const gateway = await start((cluster) => (cluster.leasePermits = leasePermits));
  expect(await statuses(gateway, 6)).toEqual([200, 200, 200, 200, 429, 429]);
  const startedAt = performance.now();
  expect(await statuses(gateway, 1)).toEqual([429]);
  expect(performance.now() - startedAt).toBeLessThan(5_000);
});
