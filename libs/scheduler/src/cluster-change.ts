import type { ClusterNode, ClusterState, NodeState, Pipeline, PipelineState, StoredDeployment } from './cluster-state';
import { pinText } from './deployment-spec';

/** One thing worth a log line. */
export interface ClusterChange {
  readonly event: string;
  readonly [detail: string]: string | number | readonly string[];
}

const NODE_EVENTS: Record<NodeState, string> = {
  CONNECTED: 'node_registered',
  RECONNECTING: 'node_disconnected',
  LEAVING: 'node_leaving',
  SUSPECT: 'node_suspect',
  FAILED: 'node_failed',
};

const PIPELINE_EVENTS: Record<PipelineState, string> = {
  PLANNED: 'pipeline_planned',
  LOADING: 'pipeline_loading',
  READY: 'pipeline_ready',
  DRAINING: 'pipeline_draining',
  BROKEN: 'pipeline_broken',
  GONE: 'pipeline_gone',
};

export function changesBetween(before: ClusterState, after: ClusterState): ClusterChange[] {
  const changes: ClusterChange[] = [];
  if (before.nodes !== after.nodes) {
    let added = 0;
    for (const node of after.nodes.values()) {
      const old = before.nodes.get(node.id);
      if (old === node) continue;
      if (old === undefined) added += 1;
      if (old?.state !== node.state || old.sessionId !== node.sessionId) changes.push(nodeChange(node));
      if (node.drained !== (old?.drained ?? false)) {
        changes.push({ event: node.drained ? 'node_drained' : 'node_uncordoned', nodeId: node.id });
      }
    }
    const forgotten = before.nodes.size + added > after.nodes.size ? before.nodes.keys() : [];
    for (const id of forgotten) {
      if (!after.nodes.has(id)) changes.push({ event: 'node_forgotten', nodeId: id });
    }
  }
  if (before.deployments !== after.deployments) changes.push(...deploymentChanges(before, after));
  if (before.pipelines !== after.pipelines) {
    for (const [id, pipeline] of after.pipelines) {
      if (before.pipelines.get(id)?.state !== pipeline.state) changes.push(pipelineChange(pipeline, pipeline.state));
    }
    for (const [id, pipeline] of before.pipelines) {
      if (!after.pipelines.has(id) && pipeline.state !== 'GONE') changes.push(pipelineChange(pipeline, 'GONE'));
    }
  }
  return changes;
}

function deploymentChanges(before: ClusterState, after: ClusterState): ClusterChange[] {
  const changes: ClusterChange[] = [];
  for (const [modelId, deployment] of after.deployments) {
    const old = before.deployments.get(modelId);
    if (!old) changes.push({ event: 'deployment_added', modelId, ...wantedOf(deployment) });
    else if (JSON.stringify(wantedOf(old)) !== JSON.stringify(wantedOf(deployment))) {
      changes.push({ event: 'deployment_changed', modelId, ...wantedOf(deployment) });
    }
  }
  for (const modelId of before.deployments.keys()) {
    if (!after.deployments.has(modelId)) changes.push({ event: 'deployment_removed', modelId });
  }
  return changes;
}

/** Without what is left to the planner. */
function wantedOf({ origin, replicas, stages, contextLength, maxSequences, pins }: StoredDeployment) {
  return {
    origin,
    replicas,
    ...(stages > 0 ? { stages } : {}),
    ...(contextLength === undefined ? {} : { contextLength }),
    ...(maxSequences === undefined ? {} : { maxSequences }),
    ...(pins.length > 0 ? { pins: pins.map(pinText) } : {}),
  };
}

function nodeChange(node: ClusterNode): ClusterChange {
  const change = { event: NODE_EVENTS[node.state], nodeId: node.id, address: node.address };
  if (node.state !== 'CONNECTED') return change;
  return { ...change, memoryBytes: node.memoryBytes, models: node.models.map(({ id }) => id) };
}

function pipelineChange({ spec, reason }: Pipeline, state: PipelineState): ClusterChange {
  const change = { event: PIPELINE_EVENTS[state], pipelineId: spec.id };
  if (state === 'PLANNED') {
    const stages = spec.stages.map(({ nodeId, layers }) => `${nodeId}[${layers?.from},${layers?.to})`);
    return {
      ...change,
      modelId: spec.modelId,
      stages,
      contextLength: spec.contextLength,
      maxSequences: spec.maxSequences,
    };
  }
  return reason === '' ? change : { ...change, reason };
}
