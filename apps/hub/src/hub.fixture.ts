import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Provider } from '@nestjs/common';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { loadHubConfig } from '@pangalactic/config';
import {
  PangalacticError,
  ShardState,
  type GetClusterResponse,
  type ModelInfo,
  type NodeSessionRequest,
  type NodeSessionResponse,
  type PipelineSpec,
  type Register,
  type ShardStatus,
  type WatchRoutesResponse,
} from '@pangalactic/contracts';
import { createApp, startApp } from '@pangalactic/lifecycle';
import type { StoredDeployment } from '@pangalactic/scheduler';
import { SqliteStateRepository, type StateRepository } from '@pangalactic/state';
import { freePort, until } from '@pangalactic/testing';
import { connectHub, type Duplex, type HubClient } from '@pangalactic/transport';
import { HUB_PROCESS } from './hub-process';

const WAIT_MS = 10_000;
export const DEADLINE = { deadlineMs: WAIT_MS };

export const NANO: ModelInfo = {
  id: 'nano',
  fingerprint: 'f1',
  architecture: 'llama',
  layers: 6,
  hiddenSize: 64,
  vocabSize: 512,
  contextLength: 256,
  heads: 4,
  kvHeads: 2,
  headSize: 16,
  layerBytes: Array<number>(6).fill(100_000),
  embeddingBytes: 50_000,
  outputBytes: 60_000,
  fileBytes: 800_000,
};

export const NANO_DEPLOYMENT: StoredDeployment = {
  ...{ modelId: 'nano', replicas: 1, stages: 0, pins: [], origin: 'CONFIGURATION' },
};

export interface SpecHubOptions {
  /** Of HUB_SQLITE_PATH; by default a new file. */
  readonly sqlitePath?: string;
  readonly environment?: Record<string, string>;
  /** Take the place of the hub's own. */
  readonly providers?: Provider[];
}

export interface SpecHub {
  readonly app: NestFastifyApplication;
  readonly address: string;
  readonly url: string;
  readonly sqlitePath: string;
  readonly client: HubClient;
  close(): Promise<void>;
}

const closers: (() => unknown)[] = [];

/** For afterEach: closes hubs, clients and nodes, the youngest first. */
export async function closeAll(): Promise<void> {
  for (const close of closers.splice(0).reverse()) await close();
}

export function newSqlitePath(): string {
  const folder = mkdtempSync(join(tmpdir(), 'hub-'));
  closers.push(() => rmSync(folder, { recursive: true, force: true }));
  return join(folder, 'hub.db');
}

/** A real repository that can be cut off, as by a full disk. */
export async function severableRepository() {
  const real = await SqliteStateRepository.open(newSqlitePath());
  let severed = false;
  const unless = <T>(operation: () => Promise<T>): Promise<T> =>
    severed ? Promise.reject(new PangalacticError('state_unavailable', 'disk is full')) : operation();
  const repository: StateRepository = {
    get: (key) => unless(() => real.get(key)),
    list: (prefix) => unless(() => real.list(prefix)),
    commit: (commit) => unless(() => real.commit(commit)),
    watch: (...from) => real.watch(...from),
    lead: () => real.lead(),
    currentTerm: () => real.currentTerm(),
    restore: (backup) => real.restore(backup),
    close: () => real.close(),
  };
  return { real, repository, sever: (now: boolean) => (severed = now) };
}

/** The real hub in this process: its ports, its SQLite file, its services. */
export async function startHub({ sqlitePath = newSqlitePath(), ...options }: SpecHubOptions = {}): Promise<SpecHub> {
  const config = loadHubConfig({
    HUB_BIND_ADDR: `127.0.0.1:${await freePort()}`,
    HUB_HTTP_ADDR: `127.0.0.1:${await freePort()}`,
    HUB_SQLITE_PATH: sqlitePath,
    HUB_MODELS: 'nano',
    HUB_PIPELINE_STAGES: '2',
    LOG_LEVEL: 'silent',
    ...options.environment,
  });
  const settings = {
    ...HUB_PROCESS,
    createModule: () => {
      const hub = HUB_PROCESS.createModule(config);
      if (!('module' in hub)) return hub;
      return { ...hub, providers: [...(hub.providers ?? []), ...(options.providers ?? [])] };
    },
  };
  const app = await createApp(settings, config);
  let closed: Promise<void> | undefined;
  const close = () => (closed ??= app.close());
  closers.push(close);
  await startApp(app, settings, config);
  const address = `127.0.0.1:${config.bindAddress.port}`;
  const client = connectHub(address, { clusterToken: config.clusterToken });
  closers.push(() => client.close());
  return { app, address, url: `http://127.0.0.1:${config.httpAddress.port}`, sqlitePath, client, close };
}

export function registerMessage(nodeId: string, changes: Partial<Register> = {}): NodeSessionRequest {
  const register: Register = {
    nodeId,
    // Nothing listens there, so a probe fails at once.
    address: '127.0.0.1:1',
    computeType: 'cpu',
    simulated: false,
    memoryBytes: 1e9,
    version: '0.1.0',
    inventory: { models: [NANO], rejected: [] },
    shards: [],
    clusterId: '',
    term: 0,
    ...changes,
  };
  return { register };
}

export function shardStatus(pipelineId: string, state: ShardState, changes: Partial<ShardStatus> = {}): ShardStatus {
  return { pipelineId, state, progress: 1, fault: undefined, memoryBytes: 1000, ...changes };
}

/** A node as the hub sees it: a session that beats, and that says what the test tells it to. */
export class PlayedNode {
  readonly received: NodeSessionResponse[] = [];
  /** What the session ended with. */
  ended: unknown;
  /** What the node does at once about a command. */
  obey: (command: NodeSessionResponse) => void = () => {};
  private readonly channel: Duplex<NodeSessionRequest, NodeSessionResponse>;
  private timer: NodeJS.Timeout | undefined;

  constructor(client: HubClient) {
    this.channel = client.nodeSession();
    void this.read();
    closers.push(() => this.vanish());
  }

  /** Opens a session, registers and beats from then on. */
  static async join(hub: SpecHub, nodeId: string, changes: Partial<Register> = {}): Promise<PlayedNode> {
    const node = new PlayedNode(hub.client);
    await node.send(registerMessage(nodeId, changes));
    const interval = (await node.next('registered')).heartbeatIntervalMs;
    node.timer = setInterval(
      () => void node.send({ heartbeat: { stageTimes: [], links: [] } }).catch(() => {}),
      interval,
    );
    return node;
  }

  send(message: NodeSessionRequest): Promise<void> {
    return this.channel.send(message);
  }

  report(pipelineId: string, state: ShardState, changes: Partial<ShardStatus> = {}): Promise<void> {
    return this.send({ shardStatus: shardStatus(pipelineId, state, changes) });
  }

  /** The first message of that kind, received already or still to come. */
  next<Kind extends keyof NodeSessionResponse>(kind: Kind): Promise<NonNullable<NodeSessionResponse[Kind]>> {
    return until(() => this.received.find((message) => message[kind])?.[kind], {
      timeoutMs: WAIT_MS,
      intervalMs: 5,
      message: () => `${kind}; received ${JSON.stringify(this.received)}, ended with ${String(this.ended)}`,
    });
  }

  count(kind: keyof NodeSessionResponse): number {
    return this.received.filter((message) => message[kind]).length;
  }

  stopBeating(): void {
    clearInterval(this.timer);
  }

  /** The process is told to stop: it ends its session in good order. */
  leave(): void {
    this.stopBeating();
    this.channel.end();
  }

  /** The process dies: its session breaks without a word. */
  vanish(): void {
    this.stopBeating();
    this.channel.cancel();
  }

  private async read(): Promise<void> {
    try {
      for await (const message of this.channel) {
        this.received.push(message);
        this.obey(message);
      }
      this.ended = 'ok';
    } catch (error) {
      this.ended = error;
    } finally {
      this.stopBeating();
    }
  }
}

/** Two nodes that have loaded the pipeline the hub asked them to. */
export async function readyPair(hub: SpecHub): Promise<{ a: PlayedNode; b: PlayedNode; pipeline: PipelineSpec }> {
  const a = await PlayedNode.join(hub, 'a');
  const b = await PlayedNode.join(hub, 'b', { address: '127.0.0.1:2' });
  const { pipeline } = await a.next('load');
  await b.next('load');
  await b.report(pipeline!.id, ShardState.SHARD_STATE_READY);
  await a.report(pipeline!.id, ShardState.SHARD_STATE_READY);
  await untilCluster(hub, ({ pipelines }) => pipelines.some(({ state }) => state === 'READY'));
  return { a, b, pipeline: pipeline! };
}

export function untilCluster(
  hub: SpecHub,
  condition: (cluster: GetClusterResponse) => boolean,
): Promise<GetClusterResponse> {
  let last: GetClusterResponse | undefined;
  return until(
    async () => {
      last = await hub.client.getCluster({}, DEADLINE);
      return condition(last) ? last : undefined;
    },
    { timeoutMs: WAIT_MS, intervalMs: 10, message: () => `cluster; it is ${JSON.stringify(last)}` },
  );
}

/** Collects every route table that the hub sends. */
export function watchRoutes(hub: SpecHub): { readonly tables: WatchRoutesResponse[]; stop(): void } {
  const stream = hub.client.watchRoutes({});
  const tables: WatchRoutesResponse[] = [];
  const read = async () => {
    for await (const table of stream) tables.push(table);
  };
  void read().catch(() => {});
  const stop = () => stream.cancel();
  closers.push(stop);
  return { tables, stop };
}
