import type { Inventory, LinkTimes, PipelineSpec, ShardStatus, StageTimes } from '@pangalactic/contracts';
import type { Milliseconds, NodeIdentity } from './cluster-state';
import type { DeploymentSpec } from './deployment-spec';

export interface Beat {
  readonly nodeId: string;
  readonly sessionId: number;
  readonly at: Milliseconds;
  readonly stageTimes: readonly StageTimes[];
  readonly links: readonly LinkTimes[];
}

/** A session opens. */
export interface NodeRegistered {
  readonly kind: 'node_registered';
  readonly at: Milliseconds;
  readonly sessionId: number;
  readonly identity: NodeIdentity;
  readonly inventory: Inventory;
  /** Everything the node holds. */
  readonly shards: readonly ShardStatus[];
}

export interface SessionClosed extends SessionReference {
  readonly kind: 'session_closed';
  readonly at: Milliseconds;
}

/** Something that happened outside. Whatever names a session other than the node's current one is stale and ignored. */
export type Observation =
  | NodeRegistered
  | ({ readonly kind: 'inventory'; readonly at: Milliseconds; readonly inventory: Inventory } & SessionReference)
  | ({ readonly kind: 'shard_status'; readonly at: Milliseconds; readonly status: ShardStatus } & SessionReference)
  | SessionClosed
  /** The node ended the session in good order, as it does when it is told to stop. */
  | ({ readonly kind: 'node_left'; readonly at: Milliseconds } & SessionReference)
  /** The node did not answer after this session closed. */
  | ({
      readonly kind: 'probe_failed';
      readonly at: Milliseconds;
      /** Its machine answered that nobody listens at its address: the process is gone, and its shards with it. */
      readonly refused: boolean;
    } & SessionReference)
  /** An operator wants no shards on the node, or has no objection any more. */
  | { readonly kind: 'drain_wish'; readonly at: Milliseconds; readonly nodeId: string; readonly drained: boolean }
  /** An operator wants the model to run like this, whatever was wanted before. Checked by `checkDeployment`. */
  | { readonly kind: 'deploy'; readonly at: Milliseconds; readonly spec: DeploymentSpec }
  /** An operator wants the model not to run. */
  | { readonly kind: 'undeploy'; readonly at: Milliseconds; readonly modelId: string }
  /** A client waits for the model. Only for one that a node holds. */
  | { readonly kind: 'request'; readonly at: Milliseconds; readonly modelId: string }
  /** Time passes. Heartbeats since the last tick come along: one new state for all of them. */
  | { readonly kind: 'tick'; readonly at: Milliseconds; readonly beats: readonly Beat[] };

export type SessionEvent = NodeRegistered | SessionClosed;

interface SessionReference {
  readonly nodeId: string;
  readonly sessionId: number;
}

/** Something the planner decided. `load` and `unload` are also commands to a node. */
export type Decision =
  | {
      readonly kind: 'create';
      readonly at: Milliseconds;
      readonly pipeline: PipelineSpec;
      /** See Pipeline. */
      readonly replaces?: string;
    }
  | { readonly kind: 'load'; readonly at: Milliseconds; readonly pipelineId: string }
  | ({ readonly kind: 'unload'; readonly at: Milliseconds; readonly pipelineId: string } & SessionReference)
  | { readonly kind: 'drain'; readonly at: Milliseconds; readonly pipelineId: string; readonly reason: string }
  /** A model that was loaded for clients alone is not meant to run any more. */
  | { readonly kind: 'withdraw'; readonly at: Milliseconds; readonly modelId: string; readonly reason: string }
  /** Nothing of the pipeline is left on a node that can be reached. */
  | { readonly kind: 'remove'; readonly at: Milliseconds; readonly pipelineId: string };

export type ClusterEvent = Observation | Decision;
