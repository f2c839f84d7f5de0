import type { GetClusterResponse, NodeView, PipelineSpec, PipelineView } from '@pangalactic/contracts';

/** The cluster as `--json` prints it: stable names in snake_case, sizes in bytes, layers as [from, to). */
export interface ClusterReport {
  readonly cluster_id: string;
  readonly term: number;
  readonly nodes: readonly NodeReport[];
  readonly pipelines: readonly PipelineReport[];
  readonly deployments: readonly { readonly model: string; readonly waiting_for: string | null }[];
}

export interface NodeReport {
  readonly node: string;
  readonly address: string;
  readonly state: string;
  readonly drained: boolean;
  readonly compute_type: string;
  readonly simulated: boolean;
  readonly memory_bytes: number;
  readonly used_bytes: number;
  readonly heartbeat_age_ms: number;
  readonly models: readonly string[];
  readonly rejected: readonly { readonly file: string; readonly reason: string }[];
  readonly shards: readonly ShardReport[];
}

/** A node's part in one pipeline. */
export interface ShardReport {
  readonly pipeline: string;
  readonly model: string;
  readonly state: string;
  readonly stage: number;
  readonly layers: readonly [from: number, to: number];
}

export interface PipelineReport {
  readonly pipeline: string;
  readonly model: string;
  readonly state: string;
  readonly reason: string | null;
  readonly context_length: number;
  readonly max_sequences: number;
  readonly stages: readonly StageReport[];
}

export interface StageReport {
  readonly node: string;
  readonly address: string;
  readonly layers: readonly [from: number, to: number];
  readonly memory_bytes: number;
}

export function clusterReport(cluster: GetClusterResponse): ClusterReport {
  const pipelines = cluster.pipelines.flatMap(pipelineReport);
  return {
    cluster_id: cluster.clusterId,
    term: cluster.term,
    nodes: cluster.nodes.map((node) => nodeReport(node, pipelines)),
    pipelines,
    deployments: cluster.deployments.map(({ modelId, waitingFor }) => ({
      model: modelId,
      waiting_for: waitingFor || null,
    })),
  };
}

/** A pipeline that is gone holds no memory anywhere, hence does not belong to the picture. */
function pipelineReport({ pipeline, state, reason }: PipelineView): PipelineReport[] {
  if (!pipeline || state === 'GONE') return [];
  return [
    {
      pipeline: pipeline.id,
      model: pipeline.modelId,
      state,
      reason: reason || null,
      context_length: pipeline.contextLength,
      max_sequences: pipeline.maxSequences,
      stages: stageReports(pipeline),
    },
  ];
}

function stageReports({ stages }: PipelineSpec): StageReport[] {
  return stages.map(({ nodeId, address, layers, memoryBytes }) => ({
    node: nodeId,
    address,
    layers: [layers?.from ?? 0, layers?.to ?? 0],
    memory_bytes: memoryBytes,
  }));
}

function nodeReport(node: NodeView, pipelines: readonly PipelineReport[]): NodeReport {
  return {
    node: node.id,
    address: node.address,
    state: node.state,
    drained: node.drained,
    compute_type: node.computeType,
    simulated: node.simulated,
    memory_bytes: node.memoryBytes,
    used_bytes: node.usedBytes,
    heartbeat_age_ms: node.heartbeatAgeMs,
    models: node.models,
    rejected: node.rejected.map(({ file, reason }) => ({ file, reason })),
    shards: pipelines.flatMap(({ pipeline, model, state, stages }) =>
      stages.flatMap(({ node: id, layers }, stage) =>
        id === node.id ? [{ pipeline, model, state, stage, layers }] : [],
      ),
    ),
  };
}
