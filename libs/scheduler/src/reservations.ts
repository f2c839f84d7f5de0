import type { PipelineSpec } from '@pangalactic/contracts';
import {
  isComing,
  isEnded,
  type ClusterNode,
  type ClusterState,
  type Deployment,
  type Milliseconds,
  type Pipeline,
} from './cluster-state';
import { mismatch } from './mismatch';
import { planDeployment } from './plan-deployment';

/** What clients wait for keeps its place for so long; then others may go first for as long, because it may never get one. */
export const RESERVATION_MS = 60_000;

/** What HUB_MODELS or an operator wants goes before what clients want, then what has waited longest. */
export function byPrecedence(a: Deployment, b: Deployment): number {
  return Number(a.origin === 'REQUEST') - Number(b.origin === 'REQUEST') || a.waitingSince - b.waitingSince;
}

/**
 * Id of a model that waits for its first pipeline, goes before this one and could not get its place any more if this
 * pipeline were created: so that one which needs several nodes gets them although they do not fall free at once.
 */
export function reservedFor(
  pipeline: PipelineSpec,
  deployment: Deployment,
  state: ClusterState,
  now: Milliseconds,
): string | undefined {
  const served = modelsOf(state, isComing);
  const inOrder = [...state.deployments.values()].sort(byPrecedence);
  const place = inOrder.findIndex(({ modelId }) => modelId === deployment.modelId);
  const servedAsWanted = modelsOf(state, (each) => isComing(each) && mismatch(each, state) === undefined);
  const before = servedAsWanted.has(deployment.modelId) ? inOrder : inOrder.slice(0, place);
  const waiting = before.filter((each) => !served.has(each.modelId) && mayReserve(each, now));
  return waiting.find((each) => hinders(pipeline, each, state))?.modelId;
}

function mayReserve({ replicas, retryAt, origin, waitingSince }: Deployment, now: Milliseconds): boolean {
  const turn = origin !== 'REQUEST' || Math.floor((now - waitingSince) / RESERVATION_MS) % 2 === 0;
  return turn && replicas > 0 && now >= retryAt;
}

/** With all memory counted as free that may become so. */
function hinders(spec: PipelineSpec, waiting: Deployment, state: ClusterState): boolean {
  const { deployments, pipelines } = state;
  const mayLeave = (pipeline: Pipeline) => {
    const wanted = deployments.get(pipeline.spec.modelId);
    return isLeaving(pipeline) || !wanted || wanted.origin === 'REQUEST';
  };
  const leaving = [...pipelines.values()].filter(mayLeave).map(({ spec: { id } }) => id);
  const room = withoutPipelines(state, leaving);
  const created: Pipeline = { spec, state: 'PLANNED', since: state.now, reason: '' };
  const taken = { ...room, pipelines: new Map(room.pipelines).set(spec.id, created) };
  return fits(waiting, room) && !fits(waiting, taken);
}

function fits(deployment: Deployment, state: ClusterState): boolean {
  return 'pipeline' in planDeployment(deployment, state);
}

/** Its memory becomes free. */
export function isLeaving(pipeline: Pipeline): boolean {
  return pipeline.state === 'DRAINING' || isEnded(pipeline);
}

export function modelsOf({ pipelines }: ClusterState, which: (pipeline: Pipeline) => boolean): ReadonlySet<string> {
  return new Set([...pipelines.values()].filter(which).map(({ spec }) => spec.modelId));
}

/** As if their memory were free already. */
export function withoutPipelines(state: ClusterState, ids: readonly string[]): ClusterState {
  const gone = new Set(ids);
  const keep = <T>(map: ReadonlyMap<string, T>) => new Map([...map].filter(([id]) => !gone.has(id)));
  const nodes = [...state.nodes].map(([id, node]): [string, ClusterNode] => [
    id,
    { ...node, shards: keep(node.shards) },
  ]);
  return { ...state, pipelines: keep(state.pipelines), nodes: new Map(nodes) };
}
