import { PangalacticError, type ErrorCode, type GetClusterResponse } from '@pangalactic/contracts';
import { afterEach, describe, expect, it } from 'vitest';
import { startSpecServer } from './grpc-server.fixture';
import { HubClients } from './hub-clients';

const DEADLINE = { deadlineMs: 5_000 };

const closers: (() => unknown)[] = [];

afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

/** A hub that answers with the number of its calls as its term, or with what it throws. */
async function startHub(refusal?: (calls: number) => PangalacticError): Promise<{ address: string; calls: number }> {
  const hub = { address: '', calls: 0 };
  const getCluster = (): Promise<GetClusterResponse> => {
    hub.calls += 1;
    if (refusal) return Promise.reject(refusal(hub.calls));
    return Promise.resolve({ clusterId: hub.address, term: hub.calls, nodes: [], pipelines: [], deployments: [] });
  };
  const server = await startSpecServer({ getCluster });
  closers.push(() => server.close());
  hub.address = server.address;
  return hub;
}

function clientsOf(...hubs: { address: string }[]): HubClients {
  const clients = new HubClients(
    hubs.map(({ address }) => address),
    { clusterToken: undefined },
  );
  closers.push(() => clients.close());
  return clients;
}

const ask = (clients: HubClients) => clients.call(async (hub) => (await hub.getCluster({}, DEADLINE)).clusterId);
const standbyOf = (address: string) => () => new PangalacticError('not_leader', 'a standby', { redirectTo: address });

describe('HubClients', () => {
  it.each<ErrorCode>(['service_unavailable', 'not_leader', 'state_unavailable'])(
    'asks the next hub after one that answers %s',
    async (code) => {
      const [useless, leader] = [await startHub(() => new PangalacticError(code, 'no')), await startHub()];
      const clients = clientsOf(useless, leader);
      await expect(ask(clients)).rejects.toMatchObject({ code });
      expect(await ask(clients)).toBe(leader.address);
    },
  );

  it('stays with a hub that refuses what was asked', async () => {
    const hub = await startHub(() => new PangalacticError('model_not_found', 'nobody has it'));
    const clients = clientsOf(hub, await startHub());
    await expect(ask(clients)).rejects.toMatchObject({ code: 'model_not_found' });
    await expect(ask(clients)).rejects.toMatchObject({ code: 'model_not_found' });
    expect(hub.calls).toBe(2);
  });

  it('goes to the leader that a standby names, for all calls that wait at once', async () => {
    const leader = await startHub();
    const clients = clientsOf(await startHub(standbyOf(leader.address)));
    const answers = await Promise.all(Array.from({ length: 10 }, () => ask(clients)));
    expect(new Set(answers)).toEqual(new Set([leader.address]));
    expect(leader.calls).toBe(10);
  });

  it('asks the next hub only once when several calls fail at once', async () => {
    const refusal = () => new PangalacticError('service_unavailable', 'it stops');
    const [stopping, leader] = [await startHub(refusal), await startHub()];
    const clients = clientsOf(stopping, leader);
    await Promise.allSettled([ask(clients), ask(clients)]);
    expect(await ask(clients)).toBe(leader.address);
  });

  it('asks the standby again after the leader that it named is lost', async () => {
    const leader = await startHub();
    const standby = await startHub((calls) => standbyOf(calls === 1 ? '127.0.0.1:1' : leader.address)());
    const clients = clientsOf(standby);
    await expect(ask(clients)).rejects.toMatchObject({ code: 'service_unavailable' });
    expect(await ask(clients)).toBe(leader.address);
  });
});
