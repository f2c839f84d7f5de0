import { setTimeout as delay } from 'node:timers/promises';
import {
  ShardState,
  type GetClusterResponse,
  type NodeSessionResponse,
  type ShardStatus,
} from '@pangalactic/contracts';
import { seededRandom, until } from '@pangalactic/testing';
import { type Backoff, connectHub, type HubClient, reconnectBackoff } from '@pangalactic/transport';
import { afterEach, expect, it } from 'vitest';
import {
  closeAll,
  registerMessage,
  shardStatus,
  type SpecHub,
  startHub,
  untilCluster,
  watchRoutes,
} from './hub.fixture';

const NODES = 200;

/** What a stampede needs of a node: it beats, loads what it is told to, and comes back whenever its session ends. */
class ReturningNode {
  commands = 0;
  isRegistered = false;
  private readonly client: HubClient;
  private readonly leaving = new AbortController();
  private readonly shards = new Map<string, ShardStatus>();
  private authority = { clusterId: '', term: 0 };
  private backoff: Backoff;

  constructor(
    hubAddress: string,
    private readonly index: number,
    private readonly random: () => number,
  ) {
    this.client = connectHub(hubAddress, { clusterToken: undefined });
    this.backoff = reconnectBackoff(Infinity, random);
    void this.keepRegistered();
  }

  leave(): void {
    this.leaving.abort();
    this.client.close();
  }

  private async keepRegistered(): Promise<void> {
    const { signal } = this.leaving;
    while (!signal.aborted) {
      await this.session().catch(() => undefined);
      await delay(this.backoff.nextDelayMs(), undefined, { signal }).catch(() => undefined);
    }
  }

  private async session(): Promise<void> {
    const session = this.client.nodeSession();
    const [address, shards] = [`127.0.0.1:${1 + this.index}`, [...this.shards.values()]];
    await session.send(registerMessage(`node-${this.index}`, { address, shards, ...this.authority }));
    const first = await session.next();
    if (first.done || !first.value.registered) return;
    const { heartbeatIntervalMs, ...authority } = first.value.registered;
    this.authority = authority;
    this.isRegistered = true;
    this.backoff = reconnectBackoff(heartbeatIntervalMs, this.random);
    const beat = () => void session.trySend({ heartbeat: { stageTimes: [], links: [] } });
    const beating = setInterval(beat, heartbeatIntervalMs);
    try {
      for await (const command of session) await session.send({ shardStatus: this.obey(command) });
    } finally {
      this.isRegistered = false;
      clearInterval(beating);
    }
  }

  private obey({ load, unload }: NodeSessionResponse): ShardStatus {
    this.commands += 1;
    const id = load?.pipeline?.id ?? unload!.pipelineId;
    const status = shardStatus(id, load ? ShardState.SHARD_STATE_READY : ShardState.SHARD_STATE_GONE);
    if (load) this.shards.set(id, status);
    else this.shards.delete(id);
    return status;
  }
}

const nodes: ReturningNode[] = [];

afterEach(async () => {
  for (const node of nodes.splice(0)) node.leave();
  await closeAll();
});

async function untilWhole(hub: SpecHub): Promise<GetClusterResponse> {
  const areRegistered = () => nodes.every(({ isRegistered }) => isRegistered);
  await until(areRegistered, { timeoutMs: 20_000, message: 'every node is registered' });
  return untilCluster(hub, (cluster) => {
    const connected = cluster.nodes.filter(({ state }) => state === 'CONNECTED');
    return connected.length === NODES && cluster.pipelines.some(({ state }) => state === 'READY');
  });
}

it(`${NODES} nodes return to a restarted hub before it gives any up, and nothing is moved`, async () => {
  // One heartbeat timeout is what it waits for them.
  const environment = { HUB_HEARTBEAT_TIMEOUT_S: '9' };
  const first = await startHub({ environment });
  const random = seededRandom(1);
  for (let index = 0; index < NODES; index += 1) nodes.push(new ReturningNode(first.address, index, random));
  const before = await untilWhole(first);
  expect(before.pipelines).toHaveLength(1);
  const commands = () => nodes.reduce((sum, node) => sum + node.commands, 0);
  const commandsBefore = commands();
  await first.close();

  const { sqlitePath, address } = first;
  const second = await startHub({ sqlitePath, environment: { ...environment, HUB_BIND_ADDR: address } });
  const { tables } = watchRoutes(second);
  const after = await untilWhole(second);
  const held = before.pipelines.map(({ pipeline }) => ({ pipeline, state: 'READY' }));
  expect(after).toMatchObject({ term: before.term + 1, pipelines: held });
  expect(commands()).toBe(commandsBefore);
  expect(tables.map(({ routes }) => routes.map(({ pipeline }) => pipeline))).toEqual([[held[0]!.pipeline]]);
});
