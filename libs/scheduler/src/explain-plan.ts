import type { ExplainedStage, LeftOutNode, ModelInfo, PipelineSpec, PlanExplanation } from '@pangalactic/contracts';
import { isComing, usedBytes, type ClusterNode, type ClusterState, type Deployment } from './cluster-state';
import { predict, typicalSpeed } from './cost-model';
import { linksOf } from './measurements';
import { MEMORY_HEADROOM, stageMemory } from './memory-ledger';
import { decodeMsPerByte } from './place-stages';
import { planDeployment, stagesOn } from './plan-deployment';

/** Why the planner did what it did, or what it would do: predicted speed, memory ledger, nodes left out. */
export function explainPlan(state: ClusterState): PlanExplanation[] {
  return [...state.deployments.values()].map((deployment) => explainDeployment(deployment, state));
}

function explainDeployment(deployment: Deployment, state: ClusterState): PlanExplanation {
  const { modelId } = deployment;
  const current = [...state.pipelines.values()].find(
    (pipeline) => pipeline.spec.modelId === modelId && isComing(pipeline),
  );
  const placement = current ? { pipeline: current.spec } : planDeployment(deployment, state);
  if ('reason' in placement)
    return { ...UNPLANNED, modelId, reason: placement.reason, leftOut: leftOut(modelId, state) };
  const { pipeline } = placement;
  const model = modelOf(pipeline, state);
  const reason = `no connected node has the version of ${modelId} that ${pipeline.id} runs`;
  if (!model) return { ...UNPLANNED, modelId, pipelineId: pipeline.id, reason, leftOut: [] };
  return {
    ...{ modelId, pipelineId: current ? pipeline.id : '', reason: '' },
    ...{ contextLength: pipeline.contextLength, maxSequences: pipeline.maxSequences },
    ...prediction(model, pipeline, state),
    leftOut: leftOut(modelId, state, pipeline),
  };
}

const UNPLANNED: PlanExplanation = {
  ...{ modelId: '', pipelineId: '', reason: '', stages: [], contextLength: 0, maxSequences: 0, bottleneck: 0 },
  ...{ tokensPerSecond: 0, busyTokensPerSecond: 0, leftOut: [], warnings: [] },
};

function modelOf({ fingerprint }: PipelineSpec, state: ClusterState): ModelInfo | undefined {
  const models = [...state.nodes.values()].flatMap((node) => node.models);
  return models.find((model) => model.fingerprint === fingerprint);
}

function prediction(
  model: ModelInfo,
  pipeline: PipelineSpec,
  state: ClusterState,
): Pick<PlanExplanation, 'stages' | 'bottleneck' | 'tokensPerSecond' | 'busyTokensPerSecond' | 'warnings'> {
  const typical = typicalSpeed([...state.nodes.values()].map(({ speeds }) => speeds.get(model.fingerprint)));
  const placed = pipeline.stages.map(({ nodeId, layers = { from: 0, to: 0 } }) => {
    const node = state.nodes.get(nodeId);
    const speed = node?.speeds.get(model.fingerprint);
    const otherStages = node ? stagesOn(node, state, pipeline.id) : 0;
    return {
      nodeId,
      layers,
      node,
      measured: speed !== undefined,
      msPerByte: decodeMsPerByte({ speed, otherStages }, typical),
    };
  });
  const predicted = predict(model, placed, pipeline.maxSequences, linksOf(state.nodes));
  const stages = placed.map(({ nodeId, layers, node, measured }, index): ExplainedStage => {
    const { weights, kv, workspace } = stageMemory(model, layers, pipeline);
    return {
      ...{ nodeId, layers, measured },
      ...{ weightBytes: weights, kvBytes: kv, workspaceBytes: workspace },
      otherBytes: node ? usedBytes(state, node, pipeline.id) : 0,
      memoryBytes: node?.memoryBytes ?? 0,
      computeMs: predicted.stages[index]!.computeMs,
      hopMs: predicted.stages[index]!.hopMs,
    };
  });
  return {
    stages,
    bottleneck: predicted.bottleneck,
    tokensPerSecond: 1000 / predicted.tokenMs,
    busyTokensPerSecond: 1000 / predicted.busyTokenMs,
    warnings: warnings(stages),
  };
}

function warnings(stages: readonly ExplainedStage[]): string[] {
  const total = (of: (stage: ExplainedStage) => number) => stages.reduce((sum, stage) => sum + of(stage), 0);
  const hops = total(({ hopMs }) => hopMs);
  const computing = total(({ computeMs }) => computeMs);
  if (hops <= computing) return [];
  return [`hops take ${hops.toFixed(2)} ms of a token, more than computing does (${computing.toFixed(2)} ms)`];
}

function leftOut(modelId: string, state: ClusterState, pipeline?: PipelineSpec): LeftOutNode[] {
  return [...state.nodes.values()]
    .filter(({ id }) => !pipeline?.stages.some(({ nodeId }) => nodeId === id))
    .sort((a, b) => (a.id < b.id ? -1 : 1))
    .map((node) => ({ nodeId: node.id, reason: reasonAgainst(node, modelId, state, pipeline) }));
}

function reasonAgainst(
  node: ClusterNode,
  modelId: string,
  state: ClusterState,
  pipeline: PipelineSpec | undefined,
): string {
  if (node.state !== 'CONNECTED') return `it is ${node.state}`;
  const model = node.models.find(({ id }) => id === modelId);
  if (!model) return `it has no ${modelId}`;
  if (pipeline && model.fingerprint !== pipeline.fingerprint) return `its ${modelId} has other weights`;
  const unloading = [...node.shards].find(([, shard]) => shard.unloading);
  if (unloading) return `it still unloads ${unloading[0]}`;
  const room = MEMORY_HEADROOM * node.memoryBytes - usedBytes(state, node);
  if (!pipeline) return `${(Math.max(0, room) / 1e6).toFixed(1)} MB of it are free`;
  const smallest = Math.min(
    ...model.layerBytes.map((_, from) => stageMemory(model, { from, to: from + 1 }, pipeline).total),
  );
  if (room < smallest)
    return `not even one layer fits into the ${(Math.max(0, room) / 1e6).toFixed(1)} MB that are free`;
  return `${pipeline.stages.length} nodes are enough, and those chosen are predicted to be at least as fast`;
}
