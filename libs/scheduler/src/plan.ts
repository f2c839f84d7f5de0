import type { Decision } from './cluster-event';
import {
  isComing,
  isEnded,
  type ClusterState,
  type Deployment,
  type Milliseconds,
  type Pipeline,
} from './cluster-state';
import { planDeployment } from './plan-deployment';

/** A DRAINING pipeline is given up after this long, whatever still runs on it. */
export const DRAIN_LIMIT_MS = 110_000;
/** Gateways take a moment to learn that a pipeline left the route table; until then an idle head proves nothing. */
export const DRAIN_SETTLE_MS = 2_000;

type Rule = (state: ClusterState, now: Milliseconds) => Decision[];

/**
 * What to do next: the decisions of the first rule that has any, to be applied before asking again. Nothing is left to
 * do when there are none. Pure; the same state gives the same decisions, so replaying a stored state moves nothing.
 */
export function plan(state: ClusterState, { now }: { now: Milliseconds }): Decision[] {
  const rules: Rule[] = [unloadStrays, removeEmpty, drainLeaving, cancelDrained, loadPlanned, placeDeployments];
  for (const rule of rules) {
    const decisions = rule(state, now);
    if (decisions.length > 0) return decisions;
  }
  return [];
}

/** Shards of pipelines that are broken, drained or unknown are freed wherever they can be reached. */
function unloadStrays(state: ClusterState, now: Milliseconds): Decision[] {
  const decisions: Decision[] = [];
  for (const { id: nodeId, sessionId, state: nodeState, shards } of state.nodes.values()) {
    if (nodeState !== 'CONNECTED') continue;
    for (const [pipelineId, shard] of shards) {
      const pipeline = state.pipelines.get(pipelineId);
      const wanted = pipeline?.spec.stages.some((stage) => stage.nodeId === nodeId) && !isOver(pipeline, state, now);
      if (!wanted && !shard.unloading) decisions.push({ kind: 'unload', at: now, nodeId, sessionId, pipelineId });
    }
  }
  return decisions;
}

function removeEmpty(state: ClusterState, now: Milliseconds): Decision[] {
  const decisions: Decision[] = [];
  for (const [pipelineId, pipeline] of state.pipelines) {
    if (!isOver(pipeline, state, now)) continue;
    const held = pipeline.spec.stages.some(({ nodeId }) => {
      const node = state.nodes.get(nodeId);
      return node?.state === 'CONNECTED' && node.shards.has(pipelineId);
    });
    if (!held) decisions.push({ kind: 'remove', at: now, pipelineId });
  }
  return decisions;
}

/** No sequence on the pipeline is worth waiting for. */
function isOver(pipeline: Pipeline, state: ClusterState, now: Milliseconds): boolean {
  if (isEnded(pipeline)) return true;
  if (pipeline.state !== 'DRAINING') return false;
  const draining = now - pipeline.since;
  if (draining > DRAIN_LIMIT_MS) return true;
  const head = state.nodes.get(pipeline.spec.stages[0]?.nodeId ?? '');
  const times = head?.stageTimes.find(({ pipelineId }) => pipelineId === pipeline.spec.id);
  const reportedSince = (head?.lastSeenAt ?? 0) - pipeline.since;
  return reportedSince > DRAIN_SETTLE_MS && times?.runningSequences === 0;
}

/** The sequences that run on it may finish while the successor loads. */
function drainLeaving(state: ClusterState, now: Milliseconds): Decision[] {
  const decisions: Decision[] = [];
  for (const [pipelineId, pipeline] of state.pipelines) {
    if (pipeline.state !== 'READY') continue;
    const leaving = pipeline.spec.stages.find(({ nodeId }) => state.nodes.get(nodeId)?.state === 'LEAVING');
    if (leaving) decisions.push({ kind: 'drain', at: now, pipelineId, reason: `node ${leaving.nodeId} is LEAVING` });
  }
  return decisions;
}

/** A pipeline that does not serve yet and would use a drained node makes way for one that does not. */
function cancelDrained(state: ClusterState, now: Milliseconds): Decision[] {
  const decisions: Decision[] = [];
  for (const [pipelineId, pipeline] of state.pipelines) {
    if (pipeline.state !== 'PLANNED' && pipeline.state !== 'LOADING') continue;
    const nodeId = drainedNode(pipeline, state);
    if (nodeId !== undefined)
      decisions.push({ kind: 'drain', at: now, pipelineId, reason: `node ${nodeId} is drained` });
  }
  return decisions;
}

function drainedNode({ spec }: Pipeline, state: ClusterState): string | undefined {
  return spec.stages.find(({ nodeId }) => state.nodes.get(nodeId)?.drained)?.nodeId;
}

function loadPlanned(state: ClusterState, now: Milliseconds): Decision[] {
  const decisions: Decision[] = [];
  for (const [pipelineId, pipeline] of state.pipelines) {
    if (pipeline.state !== 'PLANNED') continue;
    const reachable = pipeline.spec.stages.every(({ nodeId }) => state.nodes.get(nodeId)?.state === 'CONNECTED');
    if (reachable) decisions.push({ kind: 'load', at: now, pipelineId });
  }
  return decisions;
}

/** One deployment at a time, so that two cannot be promised the same memory. */
function placeDeployments(state: ClusterState, now: Milliseconds): Decision[] {
  for (const [pipelineId, pipeline] of state.pipelines) {
    if (isComing(pipeline) && !state.deployments.get(pipeline.spec.modelId)?.replicas) {
      return [{ kind: 'drain', at: now, pipelineId, reason: `${pipeline.spec.modelId} is not deployed any more` }];
    }
  }
  for (const deployment of state.deployments.values()) {
    if (deployment.replicas === 0) continue;
    const decision = placeDeployment(deployment, state, now);
    if (decision) return [decision];
  }
  return [];
}

/**
 * A pipeline whose shape is no longer wanted, or that uses a drained node, serves until its successor is READY, or makes
 * room when memory is short. While nothing can take its place it goes on.
 */
function placeDeployment(deployment: Deployment, state: ClusterState, now: Milliseconds): Decision | undefined {
  const own = [...state.pipelines.values()].filter(
    (pipeline) => pipeline.spec.modelId === deployment.modelId && isComing(pipeline),
  );
  const current = own.filter(
    (pipeline) =>
      (deployment.stages === 0 || pipeline.spec.stages.length === deployment.stages) &&
      drainedNode(pipeline, state) === undefined,
  );
  const drain = (pipeline: Pipeline | undefined, reason: string): Decision | undefined =>
    pipeline && { kind: 'drain', at: now, pipelineId: pipeline.spec.id, reason };

  const serving = current.find((pipeline) => pipeline.state === 'READY');
  if (serving) {
    const replaced = own.find((pipeline) => pipeline !== serving);
    return drain(replaced, `replaced by ${serving.spec.id}`);
  }
  if (current.length > 0 || now < deployment.retryAt) return undefined;

  const placement = planDeployment(deployment, state);
  if ('pipeline' in placement) return { kind: 'create', at: now, pipeline: placement.pipeline };
  const outdated = own[0];
  if (!outdated) return undefined;
  const withoutOutdated = planDeployment(deployment, state, outdated.spec.id);
  return 'pipeline' in withoutOutdated ? drain(outdated, 'makes room for its successor') : undefined;
}
