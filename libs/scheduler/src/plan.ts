import type { Decision } from './cluster-event';
import { DEFAULT_DRAIN_MS, isEnded, type ClusterState, type Milliseconds, type Pipeline } from './cluster-state';
import { makeRoom, withdrawAbandoned } from './make-room';
import { cancelUnwanted, placeDeployments } from './place-deployments';
import { rebalance } from './rebalance';

/** Gateways take a moment to learn that a pipeline left the route table; until then an idle head proves nothing. */
export const DRAIN_SETTLE_MS = 2_000;

type Rule = (state: ClusterState, now: Milliseconds) => Decision[];

/**
 * What to do next: the decisions of the first rule that has any, to be applied before asking again. Nothing is left to
 * do when there are none. Pure; the same state gives the same decisions, so replaying a stored state moves nothing.
 */
export function plan(state: ClusterState, { now }: { now: Milliseconds }): Decision[] {
  const rules: Rule[] = [
    ...[unloadStrays, removeEmpty, drainLeaving, cancelUnwanted, loadPlanned],
    ...[withdrawAbandoned, placeDeployments, makeRoom, rebalance],
  ];
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
    if (nodeState !== 'CONNECTED' || shards.size === 0) continue;
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
  if (draining > drainLimit(pipeline, state)) return true;
  const head = state.nodes.get(pipeline.spec.stages[0]?.nodeId ?? '');
  const times = head?.stageTimes.find(({ pipelineId }) => pipelineId === pipeline.spec.id);
  const reportedSince = (head?.lastSeenAt ?? 0) - pipeline.since;
  return reportedSince > DRAIN_SETTLE_MS && times?.runningSequences === 0;
}

/** A DRAINING pipeline is given up after this long, whatever still runs on it: the first of its nodes may be gone by then. */
function drainLimit({ spec }: Pipeline, { nodes }: ClusterState): Milliseconds {
  return Math.min(...spec.stages.map(({ nodeId }) => nodes.get(nodeId)?.drainTimeoutMs ?? DEFAULT_DRAIN_MS));
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

function loadPlanned(state: ClusterState, now: Milliseconds): Decision[] {
  const decisions: Decision[] = [];
  for (const [pipelineId, pipeline] of state.pipelines) {
    if (pipeline.state !== 'PLANNED') continue;
    const reachable = pipeline.spec.stages.every(({ nodeId }) => state.nodes.get(nodeId)?.state === 'CONNECTED');
    if (reachable) decisions.push({ kind: 'load', at: now, pipelineId });
  }
  return decisions;
}
