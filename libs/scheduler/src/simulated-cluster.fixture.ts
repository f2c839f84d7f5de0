import {
  type ActivationFormat,
  type LinkTimes,
  ShardState,
  type ModelInfo,
  type PipelineSpec,
  type ShardStatus,
} from '@pangalactic/contracts';
import { advance } from './advance';
import type { ClusterChange } from './cluster-change';
import type { Beat, Decision, Observation } from './cluster-event';
import type { DeploymentSpec } from './deployment-spec';
import { viewCluster } from './cluster-view';
import { routes } from './routes';
import { restoreCluster, type ClusterState, type StoredCluster, type WantedModels } from './cluster-state';

export const HEARTBEAT_TIMEOUT_MS = 15_000;
const BEAT_MS = 5_000;
const SHARD_BYTES = 1_000;

export function modelInfo(changes: Partial<ModelInfo> = {}): ModelInfo {
  const layers = changes.layers ?? 6;
  return {
    id: 'nano',
    fingerprint: 'f1',
    architecture: 'llama',
    layers,
    hiddenSize: 64,
    vocabSize: 512,
    contextLength: 256,
    heads: 4,
    kvHeads: 2,
    headSize: 16,
    layerBytes: Array<number>(layers).fill(100_000),
    embeddingBytes: 50_000,
    outputBytes: 60_000,
    fileBytes: 800_000,
    ...changes,
  };
}

export function deploymentSpec(changes: Partial<DeploymentSpec> = {}): DeploymentSpec {
  return { modelId: 'nano', replicas: 1, stages: 0, pins: [], ...changes };
}

export function shardStatus(pipelineId: string, state: ShardState, changes: Partial<ShardStatus> = {}): ShardStatus {
  return { pipelineId, state, progress: 1, fault: undefined, memoryBytes: SHARD_BYTES, ...changes };
}

interface SimulatedNode {
  readonly id: string;
  address: string;
  readonly memoryBytes: number;
  readonly activationFormat: ActivationFormat | undefined;
  readonly drainTimeoutMs: number | undefined;
  models: ModelInfo[];
  running: boolean;
  sessionId: number;
  readonly shards: Map<string, ShardState>;
  /** What the next loads end in. */
  loadsFail: boolean;
  /** What its stages measure, whatever they hold. */
  decodeMs: number;
  links: LinkTimes[];
}

/** Nodes that obey the hub's commands at once, and a clock that moves when told to: the planner's world without I/O. */
export class SimulatedCluster {
  state: ClusterState;
  now = 1_000_000;
  readonly nodes = new Map<string, SimulatedNode>();
  readonly changes: ClusterChange[] = [];
  readonly commands: Decision[] = [];
  /** Ways between nodes, which the hub hears nevertheless: the ids in order of the alphabet, "a,b". */
  private readonly cuts = new Set<string>();
  /** Pipelines with a sequence. */
  readonly busy = new Set<string>();
  /** When a pipeline's last sequence ended. */
  readonly usedAt = new Map<string, number>();
  private sessions = 0;
  private term = 1;

  constructor(
    private readonly wanted: WantedModels = { models: ['nano'], stages: 0 },
    stored: StoredCluster = { nodes: [], deployments: [], pipelines: [] },
  ) {
    this.state = this.restored(stored, wanted);
  }

  /** A node process starts and registers, holding nothing. */
  start(
    id: string,
    options: Partial<
      Pick<SimulatedNode, 'memoryBytes' | 'models' | 'address' | 'activationFormat' | 'drainTimeoutMs'>
    > = {},
  ): void {
    const before = this.nodes.get(id);
    this.nodes.set(id, {
      id,
      address: options.address ?? before?.address ?? `${id}:7200`,
      memoryBytes: options.memoryBytes ?? before?.memoryBytes ?? 1e9,
      models: options.models ?? before?.models ?? [modelInfo()],
      activationFormat: options.activationFormat,
      drainTimeoutMs: options.drainTimeoutMs,
      running: true,
      sessionId: 0,
      shards: new Map(),
      loadsFail: false,
      decodeMs: 1,
      links: [],
    });
    this.register(id);
  }

  /** Opens a new session of a running node, which reports what it holds. */
  register(id: string): void {
    const node = this.node(id);
    node.sessionId = ++this.sessions;
    this.observe({
      kind: 'node_registered',
      at: this.now,
      sessionId: node.sessionId,
      identity: {
        id,
        address: node.address,
        computeType: 'cpu',
        simulated: false,
        memoryBytes: node.memoryBytes,
        version: '1',
        activationFormat: node.activationFormat,
        drainTimeoutMs: node.drainTimeoutMs,
      },
      inventory: { models: node.models, rejected: [] },
      shards: [...node.shards].map(([pipelineId, state]) => shardStatus(pipelineId, state)),
    });
  }

  /** The machine is gone; the hub sees the session break and its probe fail. */
  kill(id: string): void {
    this.node(id).running = false;
    this.disconnect(id);
    this.observe({ kind: 'probe_failed', at: this.now, refused: false, ...this.session(id) });
  }

  /** The process dies and its machine says so when the hub asks. */
  crash(id: string): void {
    this.node(id).running = false;
    this.disconnect(id);
    this.observe({ kind: 'probe_failed', at: this.now, refused: true, ...this.session(id) });
  }

  /** The process is told to stop: it takes leave, finishes what runs and beats no more. */
  leave(id: string): void {
    this.observe({ kind: 'node_left', at: this.now, ...this.session(id) });
    this.node(id).running = false;
  }

  disconnect(id: string): void {
    this.observe({ kind: 'session_closed', at: this.now, ...this.session(id) });
  }

  deploy(spec: Partial<DeploymentSpec> = {}): void {
    this.observe({ kind: 'deploy', at: this.now, spec: deploymentSpec(spec) });
  }

  undeploy(modelId = 'nano'): void {
    this.observe({ kind: 'undeploy', at: this.now, modelId });
  }

  /** A client waits for the model. */
  request(modelId: string): void {
    this.observe({ kind: 'request', at: this.now, modelId });
  }

  setDrained(id: string, drained: boolean): void {
    this.observe({ kind: 'drain_wish', at: this.now, nodeId: id, drained });
  }

  report(id: string, pipelineId: string, state: ShardState, changes: Partial<ShardStatus> = {}): void {
    const node = this.node(id);
    if (state === ShardState.SHARD_STATE_GONE) node.shards.delete(pipelineId);
    else node.shards.set(pipelineId, state);
    const status = shardStatus(pipelineId, state, changes);
    this.observe({ kind: 'shard_status', at: this.now, status, ...this.session(id) });
  }

  breakPipeline(id: string, reason = 'the engine failed'): void {
    const { spec } = this.state.pipelines.get(id)!;
    const head = spec.stages[0]!.nodeId;
    const fault = { stage: 0, nodeId: head, reason };
    this.report(head, id, ShardState.SHARD_STATE_BROKEN, { fault });
  }

  /** The two nodes lose each other, and both blame the other one. */
  cut(one: string, other: string): void {
    this.cuts.add([one, other].sort().join());
    for (const { spec, state } of [...this.state.pipelines.values()]) {
      const way = state === 'READY' ? this.cutWay(spec) : undefined;
      if (way) way.forEach((nodeId, end) => this.blame(spec, nodeId, way[1 - end]!));
    }
  }

  heal(): void {
    this.cuts.clear();
  }

  /** Lets time pass while the running nodes beat. */
  pass(milliseconds: number): void {
    const end = this.now + milliseconds;
    while (this.now < end) {
      this.now = Math.min(end, this.now + BEAT_MS);
      this.observe({ kind: 'tick', at: this.now, beats: this.beats() });
    }
  }

  /** The hub process is replaced: only what it stored is left, and no session. */
  restartHub(changes: { wanted?: WantedModels } = {}): void {
    this.term++;
    this.state = this.restored(storedPart(this.state), changes.wanted ?? this.wanted);
    this.commands.length = 0;
  }

  observe(...observations: Observation[]): void {
    const result = advance(this.state, observations, this.now);
    this.state = result.state;
    this.changes.push(...result.changes);
    this.commands.push(...result.decisions);
    for (const decision of result.decisions) this.obey(decision);
  }

  /** Pipelines by state, e.g. { READY: ['nano-1-1'] }. */
  get pipelines(): Record<string, string[]> {
    const byState: Record<string, string[]> = {};
    for (const [id, { state }] of this.state.pipelines) (byState[state] ??= []).push(id);
    return byState;
  }

  get commandKinds(): string[] {
    return this.commands.map(({ kind }) => kind);
  }

  node(id: string): SimulatedNode {
    const node = this.nodes.get(id);
    if (!node) throw new Error(`no node ${id}`);
    return node;
  }

  private session(id: string): { nodeId: string; sessionId: number } {
    return { nodeId: id, sessionId: this.node(id).sessionId };
  }

  private beats(): Beat[] {
    return [...this.nodes.values()]
      .filter((node) => node.running)
      .map((node) => {
        const { id, sessionId, shards } = node;
        const stageTimes = [...shards.keys()].map((pipelineId) => ({
          pipelineId,
          decodeStepMs: 1,
          prefillTokenMs: 1,
          runningSequences: this.busy.has(pipelineId) ? 1 : 0,
          idleMs: this.idleMs(pipelineId),
          singleDecodeMs: node.decodeMs,
        }));
        return { nodeId: id, sessionId, at: this.now, stageTimes, links: node.links };
      });
  }

  private idleMs(pipelineId: string): number {
    if (this.busy.has(pipelineId)) return 0;
    return this.now - (this.usedAt.get(pipelineId) ?? this.state.pipelines.get(pipelineId)?.since ?? this.now);
  }

  private obey(decision: Decision): void {
    if (decision.kind === 'unload') {
      const node = this.node(decision.nodeId);
      if (node.running && node.sessionId === decision.sessionId) {
        const fault = { stage: 0, nodeId: node.id, reason: 'the hub unloaded the pipeline' };
        this.report(node.id, decision.pipelineId, ShardState.SHARD_STATE_BROKEN, { fault });
        this.report(node.id, decision.pipelineId, ShardState.SHARD_STATE_GONE);
      }
    }
    if (decision.kind !== 'load') return;
    const spec = this.state.pipelines.get(decision.pipelineId)?.spec;
    // Tail first: a head is READY only after every stage behind it.
    for (const { nodeId } of [...(spec?.stages ?? [])].reverse()) this.load(nodeId, spec!);
  }

  private cutWay({ stages }: PipelineSpec): readonly string[] | undefined {
    const ways = stages.map(({ nodeId }, index) => [nodeId, stages[(index + 1) % stages.length]!.nodeId]);
    return ways.find((way) => this.cuts.has([...way].sort().join()));
  }

  private blame({ id, stages }: PipelineSpec, noticedBy: string, nodeId: string): void {
    const stage = stages.findIndex((each) => each.nodeId === nodeId);
    const fault = { stage, nodeId, reason: 'it cannot be reached', noticedBy };
    this.report(noticedBy, id, ShardState.SHARD_STATE_BROKEN, { fault });
  }

  private load(nodeId: string, spec: PipelineSpec): void {
    const node = this.node(nodeId);
    if (!node.running) return;
    const fault = { stage: 0, nodeId, noticedBy: nodeId, reason: 'no space left' };
    const way = this.cutWay(spec);
    if (way?.[0] === nodeId) this.blame(spec, nodeId, way[1]!);
    else if (node.loadsFail) this.report(nodeId, spec.id, ShardState.SHARD_STATE_BROKEN, { fault });
    else if (spec.stages.every((stage) => this.node(stage.nodeId).running) || spec.stages[0]?.nodeId !== nodeId) {
      this.report(nodeId, spec.id, ShardState.SHARD_STATE_READY);
    } else this.report(nodeId, spec.id, ShardState.SHARD_STATE_LOADING);
  }

  private restored(stored: StoredCluster, wanted: WantedModels): ClusterState {
    return restoreCluster(stored, { term: this.term, heartbeatTimeoutMs: HEARTBEAT_TIMEOUT_MS, wanted }, this.now);
  }
}

/** What a hub finds after a restart, through the same JSON that a repository holds. */
function storedPart(state: ClusterState): StoredCluster {
  const stored: StoredCluster = {
    nodes: [...state.nodes.values()].map(
      ({ id, address, computeType, simulated, memoryBytes, version, drained, held }) => ({
        id,
        address,
        computeType,
        simulated,
        memoryBytes,
        version,
        drained,
        held,
      }),
    ),
    deployments: [...state.deployments.values()],
    pipelines: [...state.pipelines.values()],
  };
  return JSON.parse(JSON.stringify(stored)) as StoredCluster;
}

export const clusterOf = (stages: number, ...ids: string[]): SimulatedCluster => {
  const cluster = new SimulatedCluster({ models: ['nano'], stages });
  for (const id of ids) cluster.start(id);
  return cluster;
};
export const routed = (cluster: SimulatedCluster) => routes(cluster.state).routes.map(({ pipeline }) => pipeline!.id);
export const waitingFor = (cluster: SimulatedCluster) =>
  viewCluster(cluster.state, cluster.now).deployments[0]!.waitingFor;
export const stateOf = (cluster: SimulatedCluster, id: string) => cluster.state.nodes.get(id)?.state;
export const nodesOf = (cluster: SimulatedCluster, id: string) =>
  cluster.state.pipelines.get(id)!.spec.stages.map(({ nodeId }) => nodeId);
