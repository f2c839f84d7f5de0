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
import { byPrecedence, isLeaving, modelsOf, reservedFor, withoutPipelines } from './reservations';

/** What clients used a moment ago they are about to use again; what was just loaded they are about to use at all. */
export const MIN_IDLE_MS = 5_000;
/** Gateways repeat a request every second while a client waits: after so long without one nobody does. */
export const REQUEST_PATIENCE_MS = 60_000;

/** A model that was loaded for clients alone. */
interface IdleModel {
  readonly modelId: string;
  readonly pipelineIds: readonly string[];
  readonly lastUsedAt: Milliseconds;
}

/**
 * When a model finds no memory, those that were loaded for clients alone make room, the least recently used first: only
 * ones that serve and have been idle for a while, and only if that is enough. Sequences that still come in finish, because
 * pipelines drain. Models of HUB_MODELS and of operators stay, and nothing leaves for the sake of a further replica.
 */
export function makeRoom(state: ClusterState, now: Milliseconds): Decision[] {
  const idle = idleModels(state, now);
  if (idle.length === 0) return [];
  const coming = modelsOf(state, isComing);
  for (const deployment of [...state.deployments.values()].sort(byPrecedence)) {
    const { modelId, replicas, retryAt } = deployment;
    if (replicas === 0 || now < retryAt || coming.has(modelId)) continue;
    const chosen = leastRecentlyUsed(deployment, idle, state, now);
    const reason = `makes room for ${modelId}`;
    if (chosen.length > 0)
      return chosen.map((model) => ({ kind: 'withdraw', at: now, modelId: model.modelId, reason }));
  }
  return [];
}

/** Models that were requested, could not be placed and are not asked for any more, not even by streams that one served. */
export function withdrawAbandoned(state: ClusterState, now: Milliseconds): Decision[] {
  const running = modelsOf(state, (pipeline) => !isEnded(pipeline));
  const decisions: Decision[] = [];
  for (const { modelId, origin, replicas, requestedAt } of state.deployments.values()) {
    const abandoned = now - requestedAt > REQUEST_PATIENCE_MS && !running.has(modelId);
    if (origin === 'REQUEST' && replicas > 0 && abandoned) {
      decisions.push({ kind: 'withdraw', at: now, modelId, reason: 'no client waits for it any more' });
    }
  }
  return decisions;
}

/** As few as make the deployment fit; none when that is impossible, or when what leaves already is enough. */
function leastRecentlyUsed(
  deployment: Deployment,
  idle: readonly IdleModel[],
  state: ClusterState,
  now: Milliseconds,
): IdleModel[] {
  const leaving = [...state.pipelines.values()].filter(isLeaving).map(({ spec }) => spec.id);
  const fitsWithout = (models: readonly IdleModel[]) => {
    const ids = [...leaving, ...models.flatMap(({ pipelineIds }) => pipelineIds)];
    const placement = planDeployment(deployment, withoutPipelines(state, ids));
    return 'pipeline' in placement && reservedFor(placement.pipeline, deployment, state, now) === undefined;
  };
  if (fitsWithout([])) return [];
  const last = idle.findIndex((_model, index) => fitsWithout(idle.slice(0, index + 1)));
  let chosen = idle.slice(0, last + 1);
  // The memory of some may be of no use here; those used last have the first chance to stay.
  for (const model of chosen.toReversed()) {
    const others = chosen.filter((each) => each !== model);
    if (fitsWithout(others)) chosen = others;
  }
  return chosen;
}

/** Longest idle first. */
function idleModels(state: ClusterState, now: Milliseconds): IdleModel[] {
  const idle: IdleModel[] = [];
  for (const { modelId, origin, replicas, requestedAt } of state.deployments.values()) {
    if (origin !== 'REQUEST' || replicas === 0 || now - requestedAt < MIN_IDLE_MS) continue;
    const pipelines = [...state.pipelines.values()].filter(({ spec }) => spec.modelId === modelId);
    const uses = pipelines.map((pipeline) => lastUse(pipeline, state.nodes));
    if (uses.length === 0 || !uses.every((at) => at !== undefined)) continue;
    idle.push({ modelId, pipelineIds: pipelines.map(({ spec }) => spec.id), lastUsedAt: Math.max(...uses) });
  }
  return idle.sort((a, b) => a.lastUsedAt - b.lastUsedAt);
}

/** By the last heartbeat of its head. Undefined while it does not serve, serves somebody, or nobody can tell. */
function lastUse({ spec, state }: Pipeline, nodes: ClusterState['nodes']): Milliseconds | undefined {
  const head = nodes.get(spec.stages[0]?.nodeId ?? '');
  if (state !== 'READY' || head?.state !== 'CONNECTED') return undefined;
  const times = head.stageTimes.find(({ pipelineId }) => pipelineId === spec.id);
  if (times?.idleMs === undefined || times.runningSequences > 0 || times.idleMs < MIN_IDLE_MS) return undefined;
  return head.lastSeenAt - times.idleMs;
}
