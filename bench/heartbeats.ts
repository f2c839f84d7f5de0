import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { AppProcess, freePort, until } from '@pangalactic/testing';
import { connectHub, type HubClient } from '@pangalactic/transport';
import { cpuSeconds } from './cpu-time';
import { SimulatedNode } from './simulated-node';
import { median } from './statistics';

/** The bar and the stretch value. */
const NODE_COUNTS = [2_000, 10_000];
/** Three beats of every node in each window. */
const WINDOW_MS = 15_000;
const START_MS = 300_000;
/** Sessions opened at once: what a hub restart may bring, without a queue of connections that never gets shorter. */
const JOINING = 200;

interface Load {
  readonly nodes: number;
  readonly joinSeconds: number;
  /** Of one core, while all of them beat every five seconds. */
  readonly hubCores: number;
  readonly oldestBeatMs: number;
  readonly reached: boolean;
}

/** What the heartbeats of so many nodes, each with a connection of its own, cost a hub process. */
export async function measureHeartbeats(rounds: number): Promise<Load[]> {
  const loads: Load[] = [];
  for (const nodes of NODE_COUNTS) loads.push(await heartbeatLoad(nodes, rounds));
  console.table(loads);
  return loads;
}

async function heartbeatLoad(count: number, rounds: number): Promise<Load> {
  const folder = await mkdtemp(join(tmpdir(), 'pangalactic-bench-'));
  const address = `127.0.0.1:${await freePort()}`;
  const hub = AppProcess.start({
    ...{ name: 'hub', app: 'hub', logPath: join(folder, 'hub.log') },
    env: {
      ...{ HUB_BIND_ADDR: address, HUB_HTTP_ADDR: `127.0.0.1:${await freePort()}` },
      ...{ HUB_SQLITE_PATH: join(folder, 'hub.db'), LOG_LEVEL: 'warn' },
    },
  });
  const client = connectHub(address, { clusterToken: undefined });
  const nodes: SimulatedNode[] = [];
  try {
    await until(() => client.getCluster({}, { deadlineMs: 1_000 }), { timeoutMs: START_MS, message: 'the hub serves' });
    const joiningSince = performance.now();
    while (nodes.length < count) {
      const batch = Array.from({ length: Math.min(JOINING, count - nodes.length) }, (_, index) =>
        SimulatedNode.join(address, nodes.length + index),
      );
      nodes.push(...(await Promise.all(batch)));
    }
    const joinSeconds = (performance.now() - joiningSince) / 1_000;
    await delay(WINDOW_MS);
    const cores: number[] = [];
    const ages: number[] = [];
    for (let round = 0; round < rounds; round += 1) {
      const [before, since] = [cpuSeconds(hub.pid), performance.now()];
      await delay(WINDOW_MS);
      cores.push((cpuSeconds(hub.pid) - before) / ((performance.now() - since) / 1_000));
      ages.push(await oldestBeat(client, count));
    }
    const hubCores = median(cores);
    return {
      ...{ nodes: count, joinSeconds: round(joinSeconds), hubCores: round(hubCores) },
      ...{ oldestBeatMs: Math.max(...ages), reached: hubCores < 1 },
    };
  } finally {
    for (const node of nodes) node.leave();
    client.close();
    await hub.stop(10_000);
    await rm(folder, { recursive: true, force: true });
  }
}

/** Milliseconds since the node that has not been heard for longest was heard; all of them must be connected. */
async function oldestBeat(client: HubClient, count: number): Promise<number> {
  const { nodes } = await client.getCluster({}, { deadlineMs: 30_000 });
  const connected = nodes.filter(({ state }) => state === 'CONNECTED');
  if (connected.length !== count) throw new Error(`${connected.length} of ${count} nodes are connected`);
  return Math.max(...connected.map(({ heartbeatAgeMs }) => heartbeatAgeMs));
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}
