import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { GetClusterResponse } from '@pangalactic/contracts';
import { repositoryRoot } from '@pangalactic/contracts';
import {
  AppProcess,
  clusterLayout,
  EtcdCluster,
  freePort,
  readyPipeline,
  TestCluster,
  until,
  type AppProcessSpec,
} from '@pangalactic/testing';
import { connectHub, type HubClient } from '@pangalactic/transport';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { openaiClient } from '../cluster/openai-client';
import { StreamingLoad } from '../cluster/streaming-load';
import { TcpBalancer } from '../cluster/tcp-balancer';

const MODEL = 'pangalactic-nano-f16';
const NODES = 2;
const LEASE_TTL_MS = 10_000;
const DEADLINE = { deadlineMs: 5_000 };
const waits = { timeoutMs: 30_000, intervalMs: 20 };

let etcd: EtcdCluster;
let balancer: TcpBalancer;
let cluster: TestCluster;
let standby: AppProcess;
/** Of the hubs, in the order in which they were started first. */
let clients: readonly [HubClient, HubClient];

beforeAll(async () => {
  etcd = await EtcdCluster.start(1);
  const [hub, hubHttp, otherHub, otherHubHttp, gateway] = await Promise.all(Array.from({ length: 5 }, freePort));
  const nodes = await Promise.all(
    Array.from({ length: NODES }, async () => ({ grpc: await freePort(), http: await freePort() })),
  );
  balancer = await TcpBalancer.start([hub!, otherHub!]);
  const folder = await mkdtemp(join(tmpdir(), 'pangalactic-test-'));
  const layout = clusterLayout({
    folder,
    ports: { hub: hub!, hubHttp: hubHttp!, gateway: gateway!, nodes },
    model: MODEL,
    modelDirectory: join(repositoryRoot(), 'models'),
    stages: NODES,
    cacheDirectory: join(repositoryRoot(), 'data', 'test-cache'),
    env: {
      hub: { HUB_STATE_BACKEND: 'etcd', HUB_ETCD_ENDPOINTS: etcd.endpoints.join() },
      node: { NODE_HUB_ADDR: balancer.address },
      gateway: { GATEWAY_HUB_ADDR: `127.0.0.1:${hub},127.0.0.1:${otherHub}` },
    },
  });
  cluster = new TestCluster(layout, folder);
  const other: AppProcessSpec = {
    ...layout.hub,
    name: 'hub-2',
    logPath: join(folder, 'hub-2.log'),
    env: {
      ...layout.hub.env,
      HUB_BIND_ADDR: `127.0.0.1:${otherHub}`,
      HUB_HTTP_ADDR: `127.0.0.1:${otherHubHttp}`,
    },
  };
  const client = (port: number) => connectHub(`127.0.0.1:${port}`, { clusterToken: '' });
  clients = [client(hub!), client(otherHub!)];
  await cluster.startAll({ timeoutMs: 60_000 });
  standby = AppProcess.start(other);
  await until(() => clients[1].getCluster({}, DEADLINE), { ...waits, message: 'the standby answers' });
});

afterAll(async () => {
  clients?.forEach((client) => client.close());
  await standby?.stop(10_000);
  await cluster?.stop();
  balancer?.close();
  await etcd?.stop();
});

const times = (process: AppProcess, event: string) => process.logs().split(`"event":"${event}"`).length - 1;
const nodeEvents = (event: string) => cluster.nodeNames.map((name) => times(cluster.process(name), event));

/** Until the hub leads and all nodes are with it again. @returns milliseconds to the first and to the second */
async function takeOver(hub: AppProcess, client: HubClient, startedAt: number) {
  await until(() => times(hub, 'leading') > 0, { ...waits, message: `${hub.name} leads` });
  const leadsAfter = performance.now() - startedAt;
  const isComplete = async () => {
    const view = await client.getCluster({}, DEADLINE);
    return view.nodes.every(({ state }) => state === 'CONNECTED') && view;
  };
  const view: GetClusterResponse = await until(async () => (await isComplete()) || undefined, {
    ...waits,
    message: 'all nodes are back',
  });
  return { view, leadsAfter, completeAfter: performance.now() - startedAt };
}

it('the standby leads when the leader is killed, or at once when it ends; no request is lost and nothing is loaded again', async () => {
  const before = await clients[0].getCluster({}, DEADLINE);
  const pipelineId = readyPipeline(before)!.pipeline!.id;
  const loads = nodeEvents('shard_loading');
  const losses = nodeEvents('hub_session_lost');
  const load = await StreamingLoad.start(openaiClient(cluster), MODEL);

  const killedAt = performance.now();
  await cluster.kill('hub');
  const killed = await takeOver(standby, clients[1], killedAt);
  expect(killed.view.term).toBe(before.term + 1);
  expect(killed.leadsAfter).toBeLessThan(LEASE_TTL_MS + 5_000);
  // Jittered and ever rarer: nobody hammers a cluster without a leader.
  for (const [index, lost] of nodeEvents('hub_session_lost').entries()) expect(lost - losses[index]!).toBeLessThan(25);

  const first = cluster.start('hub');
  await until(() => times(first, 'standby') > 0, { ...waits, message: 'the restarted hub is a standby' });
  const leadsBefore = times(first, 'leading');
  const endedAt = performance.now();
  standby.kill('SIGTERM');
  await until(() => times(first, 'leading') > leadsBefore, { ...waits, message: 'the restarted hub leads' });
  const ended = await takeOver(first, clients[0], endedAt);
  expect(await standby.exited).toEqual({ code: 0, signal: null });
  expect(ended.leadsAfter).toBeLessThan(LEASE_TTL_MS / 3);

  const { failures, answered, slowestMs } = await load.stop();
  const seconds = (milliseconds: number) => `${(milliseconds / 1000).toFixed(1)} s`;
  console.log(
    `leader killed: led after ${seconds(killed.leadsAfter)}, all nodes after ${seconds(killed.completeAfter)}; ` +
      `leader ended: ${seconds(ended.leadsAfter)}, ${seconds(ended.completeAfter)}; ` +
      `${answered} answers, the slowest took ${seconds(slowestMs)}`,
  );
  expect(failures).toEqual([]);
  expect(readyPipeline(ended.view)?.pipeline?.id).toBe(pipelineId);
  expect(nodeEvents('shard_loading')).toEqual(loads);
});
