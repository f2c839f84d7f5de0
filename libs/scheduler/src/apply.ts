import type { Beat, ClusterEvent, SessionEvent } from './cluster-event';
import {
  DEFAULT_DRAIN_MS,
  newDeployment,
  withEntry,
  withoutEntry,
  type ClusterNode,
  type ClusterState,
  type Milliseconds,
  type Pipeline,
  type Shard,
} from './cluster-state';
import type { DeploymentSpec } from './deployment-spec';
import { forget } from './fault-memory';
import { withMeasurements } from './measurements';
import { changeSessions, failed, heldModels, isUp, withModels, withStatus } from './node-reports';
import { requestSuccessors, settlePipelines } from './pipeline-lifecycle';
import { assess } from './rebalance';
import { noRebalancing } from './rebalancing';

/** A node that leaves has gone this long after its drain timeout: it frees its memory meanwhile. */
export const LEAVE_GRACE_MS = 10_000;
/** A FAILED node without a pipeline is forgotten after this long, unless an operator has drained it. */
export const FORGET_NODE_MS = 24 * 3_600_000;

/** The state after an event. Pure: equal arguments give equal states, and the given state is left as it is. */
export function apply(event: ClusterEvent, state: ClusterState): ClusterState {
  return settle(state, change(event, asOf(event.at, state)));
}

/**
 * The state after sessions of as many nodes opened and closed: one copy of the nodes for all of them, where `apply` copies
 * them for each. Pure, as `apply` is.
 */
export function applySessions(events: readonly SessionEvent[], state: ClusterState): ClusterState {
  const latest = Math.max(...events.map((event) => event.at));
  return settle(state, changeSessions(events, asOf(latest, state)));
}

function asOf(time: Milliseconds, state: ClusterState): ClusterState {
  return { ...state, now: Math.max(state.now, time) };
}

function settle(before: ClusterState, after: ClusterState): ClusterState {
  return requestSuccessors(before, settlePipelines(after));
}

function change(event: ClusterEvent, state: ClusterState): ClusterState {
  switch (event.kind) {
    case 'node_registered':
    case 'session_closed':
      return changeSessions([event], state);
    case 'inventory':
      return withModels(
        event.inventory.models,
        changeNode(event, state, (node) => ({
          ...node,
          models: event.inventory.models,
          held: heldModels(event.inventory),
          rejected: event.inventory.rejected,
          lastSeenAt: event.at,
        })),
      );
    case 'shard_status':
      return changeNode(event, state, (node) => ({
        ...node,
        lastSeenAt: event.at,
        shards: withStatus(node.shards, event.status, event.at),
      }));
    case 'node_left':
      return changeNode(event, state, (node) =>
        isUp(node) ? { ...node, state: 'LEAVING', lastSeenAt: event.at } : node,
      );
    case 'probe_failed':
      return changeNode(event, state, (node) => {
        if (node.state !== 'RECONNECTING') return node;
        return { ...node, state: 'SUSPECT', shards: event.refused ? new Map() : node.shards };
      });
    case 'drain_wish':
      return setDrained(event.nodeId, event.drained, state);
    case 'deploy':
      return deploy(event.spec, event.at, state);
    case 'undeploy':
    case 'withdraw':
      return undeploy(event.modelId, event.at, state);
    case 'request':
      return request(event.modelId, event.at, state);
    case 'tick':
      return tick(event.at, event.beats, state);
    case 'create':
      return create(event, state);
    case 'load':
      return requestLoad(event.pipelineId, event.at, state);
    case 'unload':
      return changeNode(event, retire(event.pipelineId, event.at, state), (node) => {
        const shard = node.shards.get(event.pipelineId);
        return shard
          ? { ...node, shards: withEntry(node.shards, event.pipelineId, { ...shard, unloading: true }) }
          : node;
      });
    case 'drain':
      return changePipeline(event.pipelineId, state, (pipeline) => ({
        ...pipeline,
        // One that never served has nothing to finish.
        state: pipeline.state === 'READY' ? 'DRAINING' : 'BROKEN',
        since: event.at,
        reason: event.reason,
      }));
    case 'remove':
      return { ...state, pipelines: withoutEntry(state.pipelines, event.pipelineId) };
  }
}

function setDrained(nodeId: string, drained: boolean, state: ClusterState): ClusterState {
  const node = state.nodes.get(nodeId);
  if (!node || node.drained === drained) return state;
  return { ...state, nodes: withEntry(state.nodes, nodeId, { ...node, drained }) };
}

function create(
  { at, pipeline: spec, replaces }: ClusterEvent & { kind: 'create' },
  state: ClusterState,
): ClusterState {
  const pipeline: Pipeline = { spec, state: 'PLANNED', since: at, reason: '', ...(replaces ? { replaces } : {}) };
  const rebalancing = replaces ? noRebalancing(at) : state.rebalancing;
  return withPipeline({ ...state, rebalancing, pipelinesPlanned: state.pipelinesPlanned + 1 }, pipeline);
}

function deploy(spec: DeploymentSpec, at: Milliseconds, state: ClusterState): ClusterState {
  const deployment = newDeployment({ ...spec, origin: 'OPERATOR' }, at);
  return { ...state, deployments: withEntry(state.deployments, spec.modelId, deployment) };
}

/** What is meant to run already stays as it is. */
function request(modelId: string, requestedAt: Milliseconds, state: ClusterState): ClusterState {
  const known = state.deployments.get(modelId);
  const { stages } = state.wanted;
  const deployment = known?.replicas
    ? { ...known, requestedAt }
    : newDeployment({ modelId, replicas: 1, stages, pins: [], origin: 'REQUEST' }, requestedAt);
  return { ...state, deployments: withEntry(state.deployments, modelId, deployment) };
}

/** A model of HUB_MODELS would come back by itself, so it stays, with nothing to run. */
function undeploy(modelId: string, at: Milliseconds, state: ClusterState): ClusterState {
  if (state.wanted.models.includes(modelId)) return deploy({ modelId, replicas: 0, stages: 0, pins: [] }, at, state);
  return { ...state, deployments: withoutEntry(state.deployments, modelId) };
}

function requestLoad(pipelineId: string, at: Milliseconds, state: ClusterState): ClusterState {
  const pipeline = state.pipelines.get(pipelineId);
  if (!pipeline) return state;
  const nodes = new Map(state.nodes);
  for (const stage of pipeline.spec.stages) {
    const node = nodes.get(stage.nodeId);
    if (!node) continue;
    const shard: Shard = {
      phase: 'REQUESTED',
      progress: 0,
      fault: undefined,
      memoryBytes: 0,
      unloading: false,
      changedAt: at,
    };
    const { fingerprint } = pipeline.spec;
    const cached = stage.layers ? withEntry(node.cached, fingerprint, stage.layers) : node.cached;
    nodes.set(node.id, { ...node, shards: withEntry(node.shards, pipelineId, shard), cached });
  }
  return withPipeline({ ...state, nodes }, { ...pipeline, state: 'LOADING', since: at });
}

function tick(at: Milliseconds, beats: readonly Beat[], state: ClusterState): ClusterState {
  const nodes = new Map(state.nodes);
  // A tick this late means that the hub itself was away: what the nodes sent meanwhile may still wait to be read.
  if (at - state.tickedAt > state.heartbeatTimeoutMs / 3) {
    for (const node of nodes.values()) {
      if (node.state !== 'FAILED') nodes.set(node.id, { ...node, lastSeenAt: at });
    }
  }
  for (const beat of beats) {
    const node = nodes.get(beat.nodeId);
    if (!node || node.sessionId !== beat.sessionId || !isUp(node)) continue;
    const measured = withMeasurements(node, beat.stageTimes, beat.links, state.pipelines);
    nodes.set(node.id, { ...measured, lastSeenAt: Math.max(node.lastSeenAt, beat.at) });
  }
  for (const node of nodes.values()) {
    const silence = at - node.lastSeenAt;
    const patience = node.state === 'LEAVING' ? leavingFor(node) : state.heartbeatTimeoutMs;
    if (node.state !== 'FAILED' && silence > patience) {
      nodes.set(node.id, failed(node));
    } else if (node.state === 'FAILED' && silence > FORGET_NODE_MS && !node.drained) {
      nodes.delete(node.id);
    }
  }
  return assess({ ...state, nodes, tickedAt: at, faults: forget(state.faults, at) });
}

function leavingFor({ drainTimeoutMs = DEFAULT_DRAIN_MS }: ClusterNode): Milliseconds {
  return drainTimeoutMs + LEAVE_GRACE_MS;
}

/** A message of a session that is not the node's current one comes too late and changes nothing. */
function changeNode(
  reference: { readonly nodeId: string; readonly sessionId: number },
  state: ClusterState,
  update: (node: ClusterNode) => ClusterNode,
): ClusterState {
  const node = state.nodes.get(reference.nodeId);
  if (!node || node.sessionId !== reference.sessionId) return state;
  const next = update(node);
  return next === node ? state : { ...state, nodes: withEntry(state.nodes, node.id, next) };
}

/** A drained pipeline ends with the order to unload it: what its stages say of their end is no fault. */
function retire(id: string, at: Milliseconds, state: ClusterState): ClusterState {
  return changePipeline(id, state, (pipeline) =>
    pipeline.state === 'DRAINING' ? { ...pipeline, state: 'GONE', since: at } : pipeline,
  );
}

function changePipeline(id: string, state: ClusterState, update: (pipeline: Pipeline) => Pipeline): ClusterState {
  const pipeline = state.pipelines.get(id);
  return pipeline ? withPipeline(state, update(pipeline)) : state;
}

function withPipeline(state: ClusterState, pipeline: Pipeline): ClusterState {
  return { ...state, pipelines: withEntry(state.pipelines, pipeline.spec.id, pipeline) };
}
