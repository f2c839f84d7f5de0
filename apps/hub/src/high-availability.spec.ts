import { ShardState } from '@pangalactic/contracts';
import { STATE_REPOSITORY, type StateRepository } from '@pangalactic/state';
import { EtcdCluster } from '@pangalactic/testing';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { FATAL_HANDLER } from './cluster/fatal-handler';
import { Reconciler } from './cluster/reconciler';
import {
  closeAll,
  DEADLINE,
  PlayedNode,
  readyPair,
  registerMessage,
  shardStatus,
  startHub,
  untilCluster,
  watchRoutes,
  type SpecHubOptions,
} from './hub.fixture';

const waits = { timeout: 10_000, interval: 20 };
const { SHARD_STATE_READY } = ShardState;

let etcd: EtcdCluster;
let prefix: string;
let clusters = 0;

beforeAll(async () => {
  etcd = await EtcdCluster.start(1);
});

afterAll(() => etcd?.stop());

afterEach(closeAll);

function startEtcdHub(options: SpecHubOptions = {}) {
  const environment = {
    HUB_STATE_BACKEND: 'etcd',
    HUB_ETCD_ENDPOINTS: etcd.endpoints.join(),
    HUB_ETCD_PREFIX: prefix,
    ...options.environment,
  };
  return startHub({ ...options, environment });
}

async function isReady(hub: { readonly url: string }): Promise<boolean> {
  return (await fetch(`${hub.url}/readyz`)).ok;
}

describe('two hubs on etcd', () => {
  const newCluster = () => {
    prefix = `/hubs-${++clusters}/`;
  };

  it('are a leader that takes wishes about models and a standby that points at it, and knows what nodes hold', async () => {
    newCluster();
    const leader = await startEtcdHub({ environment: { HUB_MODELS: 'something-else' } });
    const standby = await startEtcdHub({ environment: { HUB_MODELS: 'something-else' } });
    const { tables } = watchRoutes(standby);
    await PlayedNode.join(leader, 'a');
    await expect.poll(() => tables.at(-1)?.models, waits).toMatchObject([{ id: 'nano', state: 'NOT_LOADED' }]);
    const redirect = { code: 'not_leader', redirectTo: leader.address };
    const wish = { modelId: 'nano', onRequest: true, pins: [] };
    await expect(standby.client.loadModel(wish, DEADLINE)).rejects.toMatchObject(redirect);
    await expect(standby.client.unloadModel({ modelId: 'nano' }, DEADLINE)).rejects.toMatchObject(redirect);
    await expect(standby.client.listModels({}, DEADLINE)).rejects.toMatchObject(redirect);
    await leader.client.loadModel(wish, DEADLINE);
    await expect.poll(() => tables.at(-1)?.models, waits).toMatchObject([{ id: 'nano', origin: 'REQUEST' }]);
  });

  it('are a leader and a standby that is ready, answers reads and points nodes at the leader', async () => {
    newCluster();
    const leader = await startEtcdHub();
    const standby = await startEtcdHub();
    const { tables } = watchRoutes(standby);
    await readyPair(leader);
    await expect.poll(() => tables.at(-1)?.routes.map(({ pipeline }) => pipeline?.id), waits).toEqual(['nano-1-1']);
    expect(await isReady(standby)).toBe(true);

    const [own, seen] = await Promise.all([leader, standby].map((hub) => hub.client.getCluster({}, DEADLINE)));
    expect(seen).toMatchObject({ clusterId: own!.clusterId, term: 1, pipelines: own!.pipelines });
    expect(seen!.nodes.map(({ id, state }) => [id, state])).toEqual([
      ['a', 'CONNECTED'],
      ['b', 'CONNECTED'],
    ]);

    await expect(standby.client.setNodeDrained({ nodeId: 'a', drained: true }, DEADLINE)).rejects.toMatchObject({
      code: 'not_leader',
      redirectTo: leader.address,
    });
    const question = { gatewayId: 'a', term: 0, demands: [] };
    await expect(standby.client.leasePermits(question, DEADLINE)).rejects.toMatchObject({
      code: 'not_leader',
      redirectTo: leader.address,
    });
    expect(await leader.client.leasePermits(question, DEADLINE)).toMatchObject({ term: 1, gateways: 1 });
    const session = standby.client.nodeSession();
    await session.send(registerMessage('c'));
    await expect(session.next()).rejects.toMatchObject({
      code: 'not_leader',
      message: `this hub is a standby: ${leader.address} leads`,
      redirectTo: leader.address,
    });
  });

  it('change places when the leader ends, and nothing healthy is loaded again', async () => {
    newCluster();
    const first = await startEtcdHub();
    const second = await startEtcdHub();
    const { pipeline } = await readyPair(first);
    const before = await first.client.getCluster({}, DEADLINE);
    const { tables } = watchRoutes(second);
    await first.close();
    const after = await untilCluster(second, ({ term }) => term === before.term + 1);
    expect(after.clusterId).toBe(before.clusterId);
    // The term is stored, and seen, a moment before its hub leads.
    const question = { gatewayId: 'a', term: 0, demands: [] };
    await expect.poll(() => second.client.leasePermits(question, DEADLINE), waits).toMatchObject({ term: after.term });
    const held = {
      shards: [shardStatus(pipeline.id, SHARD_STATE_READY)],
      clusterId: before.clusterId,
      term: before.term,
    };
    const nodes = [
      await PlayedNode.join(second, 'a', held),
      await PlayedNode.join(second, 'b', { ...held, address: '127.0.0.1:2' }),
    ];
    await untilCluster(second, (cluster) => cluster.nodes.every(({ state }) => state === 'CONNECTED'));
    expect(nodes.map((node) => [node.count('load'), node.count('unload')])).toEqual([
      [0, 0],
      [0, 0],
    ]);
    expect(tables.at(-1)?.routes.map((route) => route.pipeline?.id)).toEqual([pipeline.id]);
  });

  it('end their reign when etcd says so: nothing is decided any more, and the process ends', async () => {
    newCluster();
    const failures: unknown[] = [];
    const providers = [{ provide: FATAL_HANDLER, useValue: (error: unknown) => failures.push(error) }];
    const hub = await startEtcdHub({ providers });
    const leases = (await etcd.etcdctl('lease', 'list')).split('\n').filter((line) => /^[0-9a-f]{16}$/.test(line));
    for (const lease of leases) await etcd.etcdctl('lease', 'revoke', lease);
    await expect.poll(() => failures, waits).toMatchObject([{ code: 'stale_term' }]);
    const node = new PlayedNode(hub.client);
    await node.send(registerMessage('a'));
    await expect.poll(() => node.ended, waits).toMatchObject({ code: 'not_leader' });
    const { entries } = await hub.app.get<StateRepository>(STATE_REPOSITORY).list('nodes/');
    expect(entries).toEqual([]);
  });

  it('serve without etcd, not ready, and lead once it is there', async () => {
    newCluster();
    await etcd.members[0]!.kill();
    const hub = await startEtcdHub();
    expect(await isReady(hub)).toBe(false);
    expect((await fetch(`${hub.url}/healthz`)).ok).toBe(true);
    etcd.members[0]!.start();
    await expect.poll(() => isReady(hub), waits).toBe(true);
    // The stored term is raised a moment before the hub leads.
    await expect.poll(() => hub.app.get(Reconciler).leadership?.term, waits).toBe(1);
    await PlayedNode.join(hub, 'a');
  });
});
