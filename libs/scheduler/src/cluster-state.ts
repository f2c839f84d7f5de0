import type {
  ActivationFormat,
  LayerRange,
  ModelInfo,
  PipelineFault,
  PipelineSpec,
  RejectedModel,
  StageTimes,
} from '@pangalactic/contracts';
import type { EngineSpeed, Link } from './cost-model';
import type { DeploymentSpec } from './deployment-spec';
import type { FaultMemory } from './fault-memory';
import { noRebalancing, type Rebalancing } from './rebalancing';

/** All times are milliseconds of one clock that never jumps, anchored to the Unix epoch when the hub starts. */
export type Milliseconds = number;

/**
 * CONNECTED: the session is open. RECONNECTING: it is not, but nothing else speaks against the node; also every node
 * after a hub restart. LEAVING: it ended its session by itself and finishes what runs. SUSPECT: the session broke and a
 * probe failed. FAILED: silent for the heartbeat timeout.
 */
export type NodeState = 'CONNECTED' | 'RECONNECTING' | 'LEAVING' | 'SUSPECT' | 'FAILED';

/** What a node says about itself; the part of it that is stored. */
export interface NodeIdentity {
  readonly id: string;
  readonly address: string;
  readonly computeType: string;
  readonly simulated: boolean;
  readonly memoryBytes: number;
  readonly version: string;
  /** The least precise in which it lets hidden states travel; absent: f32. */
  readonly activationFormat?: ActivationFormat | undefined;
  /** What it gives running sequences to finish; absent: DEFAULT_DRAIN_MS. */
  readonly drainTimeoutMs?: Milliseconds | undefined;
}

/** Of NODE_DRAIN_TIMEOUT_S. */
export const DEFAULT_DRAIN_MS: Milliseconds = 110_000;

/** A model that a node holds, as far as gateways need to know it. */
export interface HeldModel {
  readonly id: string;
  /** Longest context that it was trained for, in tokens. */
  readonly contextLength: number;
}

/** What outlives the hub of a node. */
export interface StoredNode extends NodeIdentity {
  /** As last reported: while the node is about to register again, and for standbys, to which no node reports. */
  readonly held?: readonly HeldModel[] | undefined;
  /** An operator wants no shards on it. */
  readonly drained?: boolean | undefined;
}

/** REQUESTED: a load command was sent and the node has not answered yet. */
export type ShardPhase = 'REQUESTED' | 'LOADING' | 'READY' | 'BROKEN';

/** A shard that a node holds, as far as the hub knows. */
export interface Shard {
  readonly phase: ShardPhase;
  readonly progress: number;
  readonly fault: PipelineFault | undefined;
  /** As reported; 0 until then. */
  readonly memoryBytes: number;
  readonly unloading: boolean;
  readonly changedAt: Milliseconds;
}

export interface ClusterNode extends NodeIdentity {
  readonly state: NodeState;
  readonly drained: boolean;
  /** The open session, or the last one. 0: none since the hub started. */
  readonly sessionId: number;
  readonly lastSeenAt: Milliseconds;
  readonly models: readonly ModelInfo[];
  readonly held: readonly HeldModel[];
  readonly rejected: readonly RejectedModel[];
  readonly shards: ReadonlyMap<string, Shard>;
  readonly stageTimes: readonly StageTimes[];
  /** Measured, by fingerprint of the model. */
  readonly speeds: ReadonlyMap<string, EngineSpeed>;
  /** Measured, by id of the node at the other end. */
  readonly links: ReadonlyMap<string, Link>;
  /** The layers that it loaded last, by fingerprint: it need not pack them again. */
  readonly cached: ReadonlyMap<string, LayerRange>;
}

export type PipelineState = 'PLANNED' | 'LOADING' | 'READY' | 'DRAINING' | 'BROKEN' | 'GONE';

export interface Pipeline {
  readonly spec: PipelineSpec;
  readonly state: PipelineState;
  /** Of `state`. */
  readonly since: Milliseconds;
  /** Why it is DRAINING, GONE or BROKEN. */
  readonly reason: string;
  /** Id of a healthy pipeline that it takes the place of once it is READY, because it is faster. */
  readonly replaces?: string | undefined;
}

/** The part of a deployment that is stored. */
export interface StoredDeployment extends DeploymentSpec {
  readonly origin: DeploymentOrigin;
}

/**
 * Who wants a model to run. CONFIGURATION: as HUB_MODELS and HUB_PIPELINE_STAGES say when the hub starts. OPERATOR: until an
 * operator changes it. REQUEST: a client asked for it; it makes room for others when it is idle.
 */
export type DeploymentOrigin = 'CONFIGURATION' | 'OPERATOR' | 'REQUEST';

/** A model that is meant to run. */
export interface Deployment extends StoredDeployment {
  /** Pipelines that broke in a row before they had served for a while. */
  readonly failures: number;
  readonly lastFailure: string;
  /** No new pipeline before this time. */
  readonly retryAt: Milliseconds;
  /**
   * When a gateway last said that a client waits for it, or a pipeline of it stopped serving; for a REQUEST that was
   * restored, when that was.
   */
  readonly requestedAt: Milliseconds;
  /** When it was wished, or a pipeline of it last stopped serving: since then it waits, unless one serves or is coming. */
  readonly waitingSince: Milliseconds;
}

/** What the hub was told to run; a model of it becomes a deployment when a node first reports it. */
export interface WantedModels {
  readonly models: readonly string[];
  readonly stages: number;
  /** Models that nodes hold are loaded when a client asks for them, unless this is false. */
  readonly autoload?: boolean | undefined;
}

export interface ClusterState {
  /** Of this hub's leadership; makes pipeline ids unique for the cluster's life. */
  readonly term: number;
  readonly heartbeatTimeoutMs: number;
  readonly now: Milliseconds;
  readonly tickedAt: Milliseconds;
  readonly pipelinesPlanned: number;
  readonly wanted: WantedModels;
  readonly nodes: ReadonlyMap<string, ClusterNode>;
  readonly deployments: ReadonlyMap<string, Deployment>;
  readonly pipelines: ReadonlyMap<string, Pipeline>;
  /** Not stored: a hub that restarts gives everything another chance. */
  readonly faults: FaultMemory;
  readonly rebalancing: Rebalancing;
}

/** The part of the state that outlives the hub. */
export interface StoredCluster {
  readonly nodes: readonly StoredNode[];
  readonly deployments: readonly StoredDeployment[];
  readonly pipelines: readonly Pipeline[];
}

/** Settings that come from outside the stored state. */
export interface ClusterSettings {
  readonly term: number;
  readonly heartbeatTimeoutMs: number;
  readonly wanted: WantedModels;
}

/** The state a hub starts with. Every stored node gets the full heartbeat timeout to come back. */
export function restoreCluster(stored: StoredCluster, settings: ClusterSettings, now: Milliseconds): ClusterState {
  return {
    ...settings,
    now,
    tickedAt: now,
    pipelinesPlanned: 0,
    nodes: new Map(stored.nodes.map((node) => [node.id, restoredNode(node, now)])),
    deployments: new Map(
      stored.deployments
        .filter(({ origin, modelId }) => origin !== 'CONFIGURATION' || settings.wanted.models.includes(modelId))
        .map((kept) => [
          kept.modelId,
          kept.origin === 'CONFIGURATION'
            ? configuredDeployment(kept.modelId, settings.wanted)
            : newDeployment(kept, now),
        ]),
    ),
    pipelines: new Map(stored.pipelines.map((pipeline) => [pipeline.spec.id, pipeline])),
    faults: new Map(),
    rebalancing: noRebalancing(now),
  };
}

function restoredNode({ drained = false, held = [], ...identity }: StoredNode, now: Milliseconds): ClusterNode {
  return {
    ...identity,
    state: 'RECONNECTING',
    drained,
    sessionId: 0,
    lastSeenAt: now,
    models: [],
    held,
    rejected: [],
    shards: new Map(),
    stageTimes: [],
    speeds: new Map(),
    links: new Map(),
    cached: new Map(),
  };
}

export function newDeployment(stored: StoredDeployment, at: Milliseconds = 0): Deployment {
  return { ...stored, failures: 0, lastFailure: '', retryAt: 0, requestedAt: at, waitingSince: at };
}

export function configuredDeployment(modelId: string, { stages }: WantedModels): Deployment {
  return newDeployment({ modelId, replicas: 1, stages, pins: [], origin: 'CONFIGURATION' });
}

/** States in which the stages must hold their shards. */
export function isLive(pipeline: Pipeline): boolean {
  return pipeline.state === 'LOADING' || pipeline.state === 'READY' || pipeline.state === 'DRAINING';
}

/** States that a pipeline never leaves, while its stages free their shards. GONE: as planned. */
export function isEnded(pipeline: Pipeline): boolean {
  return pipeline.state === 'BROKEN' || pipeline.state === 'GONE';
}

/** States of a pipeline that serves its deployment or is on the way to it. */
export function isComing(pipeline: Pipeline): boolean {
  return pipeline.state === 'PLANNED' || pipeline.state === 'LOADING' || pipeline.state === 'READY';
}

/**
 * What a node's shards and planned stages take of its memory: the ledger or the report, whichever is more.
 * @param disregarding id of a pipeline that does not count
 */
export function usedBytes(state: ClusterState, node: ClusterNode, disregarding?: string): number {
  const bytes = new Map([...node.shards].map(([pipelineId, shard]) => [pipelineId, shard.memoryBytes]));
  for (const pipeline of state.pipelines.values()) {
    const { spec } = pipeline;
    const stage = spec.stages.find(({ nodeId }) => nodeId === node.id);
    const held = bytes.get(spec.id);
    if (stage && (held !== undefined || !isEnded(pipeline))) {
      bytes.set(spec.id, Math.max(held ?? 0, stage.memoryBytes));
    }
  }
  if (disregarding !== undefined) bytes.delete(disregarding);
  return [...bytes.values()].reduce((total, value) => total + value, 0);
}

export function withEntry<V>(map: ReadonlyMap<string, V>, key: string, value: V): ReadonlyMap<string, V> {
  return new Map(map).set(key, value);
}

export function withoutEntry<V>(map: ReadonlyMap<string, V>, key: string): ReadonlyMap<string, V> {
  const copy = new Map(map);
  copy.delete(key);
  return copy;
}
