import type { DeploymentView, GetClusterResponse, NodeView, PipelineView } from '@pangalactic/contracts';
import {
  isComing,
  usedBytes,
  type ClusterState,
  type Deployment,
  type Milliseconds,
  type Pipeline,
} from './cluster-state';
import { mismatch } from './mismatch';
import { planDeployment } from './plan-deployment';
import { reservedFor } from './reservations';
import { routes } from './routes';

/** The cluster for people: `pangalactic cluster status` and `topology`. */
export function viewCluster(state: ClusterState, now: Milliseconds): Omit<GetClusterResponse, 'clusterId'> {
  return {
    term: state.term,
    nodes: viewNodes(state, now),
    pipelines: [...state.pipelines.values()].map((pipeline) => viewPipeline(pipeline, state)),
    deployments: viewDeployments(state, now),
  };
}

function viewNodes(state: ClusterState, now: Milliseconds): NodeView[] {
  return [...state.nodes.values()]
    .sort((a, b) => (a.id < b.id ? -1 : 1))
    .map((node) => ({
      id: node.id,
      address: node.address,
      state: node.state,
      computeType: node.computeType,
      simulated: node.simulated,
      memoryBytes: node.memoryBytes,
      usedBytes: usedBytes(state, node),
      heartbeatAgeMs: Math.max(0, Math.round(now - node.lastSeenAt)),
      models: node.models.map(({ id }) => id),
      rejected: [...node.rejected],
      drained: node.drained,
    }));
}

export function viewPipeline({ spec, state: pipelineState, reason }: Pipeline, state: ClusterState): PipelineView {
  const stageTimes = spec.stages.map(({ nodeId }) => {
    const measured = state.nodes.get(nodeId)?.stageTimes.find(({ pipelineId }) => pipelineId === spec.id);
    return (
      measured ?? { pipelineId: spec.id, decodeStepMs: 0, prefillTokenMs: 0, runningSequences: 0, singleDecodeMs: 0 }
    );
  });
  return { pipeline: spec, state: pipelineState, reason, stageTimes };
}

function viewDeployments(state: ClusterState, now: Milliseconds): DeploymentView[] {
  const served = new Set(routes(state).routes.map(({ pipeline }) => pipeline?.modelId));
  const deployments = [...state.deployments.values()].map((deployment) => ({
    modelId: deployment.modelId,
    waitingFor: served.has(deployment.modelId) || deployment.replicas === 0 ? '' : waitingFor(deployment, state, now),
  }));
  const absent = state.wanted.models.filter((modelId) => !state.deployments.has(modelId));
  return [...deployments, ...absent.map((modelId) => ({ modelId, waitingFor: `no node has reported ${modelId} yet` }))];
}

/** Why no pipeline serves it yet as it is wanted. */
export function waitingFor(deployment: Deployment, state: ClusterState, now: Milliseconds): string {
  const coming = [...state.pipelines.values()].find(
    (pipeline) =>
      pipeline.spec.modelId === deployment.modelId && isComing(pipeline) && mismatch(pipeline, state) === undefined,
  );
  if (coming) return progressOf(coming, state);
  if (now < deployment.retryAt) {
    const seconds = ((deployment.retryAt - now) / 1000).toFixed(1);
    return `the next attempt in ${seconds} s; ${deployment.failures} failed in a row, the last: ${deployment.lastFailure}`;
  }
  const placement = planDeployment(deployment, state);
  if ('reason' in placement) return placement.reason;
  const first = reservedFor(placement.pipeline, deployment, state, now);
  return first === undefined ? 'the planner' : `${first}, which goes first`;
}

function progressOf(pipeline: Pipeline, state: ClusterState): string {
  const stages = pipeline.spec.stages.map(({ nodeId }) => {
    const node = state.nodes.get(nodeId);
    if (node?.state !== 'CONNECTED') return `${nodeId} ${node?.state ?? 'unknown'}`;
    const shard = node.shards.get(pipeline.spec.id);
    return `${nodeId} ${shard?.phase ?? 'idle'} ${Math.round((shard?.progress ?? 0) * 100)} %`;
  });
  return `pipeline ${pipeline.spec.id}, ${pipeline.state}: ${stages.join(', ')}`;
}
