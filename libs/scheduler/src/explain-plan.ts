import type {
  AvoidedPath,
  ExplainedStage,
  LeftOutNode,
  ModelInfo,
  PipelineSpec,
  PlanExplanation,
} from '@pangalactic/contracts';
import { isComing, usedBytes, type ClusterNode, type ClusterState, type Deployment } from './cluster-state';
import { predict, typicalSpeed } from './cost-model';
import { avoidedForMs, avoidedPaths, usedSuspects } from './fault-memory';
import { linksOf } from './measurements';
import { MEMORY_HEADROOM, stageMemory } from './memory-ledger';
import { machineSpeed } from './place-stages';
import { objectionTo, planDeployment, stagesOn } from './plan-deployment';

/** Why the planner did what it did, or what it would do: predicted speed, memory ledger, nodes left out or avoided. */
export function explainPlan(state: ClusterState): PlanExplanation[] {
  return [...state.deployments.values()].flatMap((deployment) => explainDeployment(deployment, state));
}

/** Of each pipeline, and of the next one that is missing. */
function explainDeployment(deployment: Deployment, state: ClusterState): PlanExplanation[] {
  const { modelId, replicas } = deployment;
  const pipelines = [...state.pipelines.values()].filter(
    (pipeline) => pipeline.spec.modelId === modelId && isComing(pipeline),
  );
  const explained = pipelines.map(({ spec }) => explainPipeline(spec, deployment, state, spec.id));
  if (pipelines.length < replicas) {
    const placement = planDeployment(deployment, state);
    explained.push(
      'pipeline' in placement
        ? explainPipeline(placement.pipeline, deployment, state, '')
        : { ...unplanned(deployment, state), reason: placement.reason, leftOut: leftOut(modelId, state) },
    );
  }
  return explained.map((plan, index) => ({ ...plan, replica: index + 1 }));
}

function explainPipeline(
  pipeline: PipelineSpec,
  deployment: Deployment,
  state: ClusterState,
  pipelineId: string,
): PlanExplanation {
  const model = modelOf(pipeline, state);
  const reason = `no connected node has the version of ${deployment.modelId} that ${pipeline.id} runs`;
  if (!model) return { ...unplanned(deployment, state), pipelineId, reason };
  return {
    ...unplanned(deployment, state),
    pipelineId,
    ...{ contextLength: pipeline.contextLength, maxSequences: pipeline.maxSequences },
    ...prediction(model, pipeline, state),
    leftOut: leftOut(deployment.modelId, state, pipeline),
  };
}

function unplanned({ modelId, replicas, pins }: Deployment, state: ClusterState): PlanExplanation {
  return {
    ...{ modelId, pipelineId: '', reason: '', stages: [], contextLength: 0, maxSequences: 0, bottleneck: 0 },
    ...{ tokensPerSecond: 0, busyTokensPerSecond: 0, promptTokensPerSecond: 0, leftOut: [], warnings: [] },
    ...{ replica: 1, replicas, pinned: pins.length > 0, avoided: avoided(state) },
  };
}

function avoided({ faults, now }: ClusterState): AvoidedPath[] {
  return avoidedPaths(faults, now).map((suspect) => ({
    nodeIds: [...suspect.nodeIds],
    reason: suspect.reason,
    avoidedForMs: Math.round(avoidedForMs(suspect, now)),
  }));
}

function modelOf({ fingerprint }: PipelineSpec, state: ClusterState): ModelInfo | undefined {
  const models = [...state.nodes.values()].flatMap((node) => node.models);
  return models.find((model) => model.fingerprint === fingerprint);
}

function prediction(
  model: ModelInfo,
  pipeline: PipelineSpec,
  state: ClusterState,
): Pick<PlanExplanation, 'stages' | 'bottleneck' | 'warnings' | `${'t' | 'busyT' | 'promptT'}okensPerSecond`> {
  const typical = typicalSpeed([...state.nodes.values()].map(({ speeds }) => speeds.get(model.fingerprint)));
  const placed = pipeline.stages.map(({ nodeId, layers = { from: 0, to: 0 } }) => {
    const node = state.nodes.get(nodeId);
    const speed = node?.speeds.get(model.fingerprint);
    const otherStages = node ? stagesOn(node, state, [pipeline.id]) : 0;
    return {
      nodeId,
      layers,
      node,
      measured: speed !== undefined,
      speed: machineSpeed({ speed, otherStages }, typical),
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
    promptTokensPerSecond: 1000 / predicted.promptTokenMs,
    warnings: [...hopWarnings(stages), ...suspectWarnings(pipeline, state)],
  };
}

function hopWarnings(stages: readonly ExplainedStage[]): string[] {
  const total = (of: (stage: ExplainedStage) => number) => stages.reduce((sum, stage) => sum + of(stage), 0);
  const hops = total(({ hopMs }) => hopMs);
  const computing = total(({ computeMs }) => computeMs);
  if (hops <= computing) return [];
  return [`hops take ${hops.toFixed(2)} ms of a token, more than computing does (${computing.toFixed(2)} ms)`];
}

function suspectWarnings({ stages }: PipelineSpec, { faults, now }: ClusterState): string[] {
  const used = usedSuspects(
    avoidedPaths(faults, now),
    stages.map(({ nodeId }) => nodeId),
  );
  return used.map(({ nodeIds, reason }) => `${nodeIds.join(' - ')} failed lately, and there is no other: ${reason}`);
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
  const objection = objectionTo(node, state);
  if (objection !== undefined) return `it ${objection}`;
  const { pins = [] } = state.deployments.get(modelId) ?? {};
  if (pipeline && pins.length > 0) return 'the pins do not name it';
  const room = MEMORY_HEADROOM * node.memoryBytes - usedBytes(state, node);
  if (!pipeline) return `${(Math.max(0, room) / 1e6).toFixed(1)} MB of it are free`;
  const smallest = Math.min(
    ...model.layerBytes.map((_, from) => stageMemory(model, { from, to: from + 1 }, pipeline).total),
  );
  if (room < smallest)
    return `not even one layer fits into the ${(Math.max(0, room) / 1e6).toFixed(1)} MB that are free`;
  const suspect = avoidedPaths(state.faults, state.now).find(({ nodeIds }) => nodeIds.includes(node.id));
  if (suspect) return `${suspect.nodeIds.join(' - ')} failed lately: ${suspect.reason}`;
  return `${pipeline.stages.length} nodes are enough, and those chosen are predicted to be at least as fast`;
}
