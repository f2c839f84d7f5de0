import type { Decision } from './cluster-event';
import { isComing, type ClusterState, type Deployment, type Milliseconds, type Pipeline } from './cluster-state';
import { mismatch } from './mismatch';
import { pipelinesByModel } from './model-state';
import { planDeployment } from './plan-deployment';
import { isSlowerThanHoped } from './rebalance';
import { byPrecedence, reservedFor } from './reservations';

/** A pipeline that does not serve yet and is not what is wanted makes way for one that is. */
export function cancelUnwanted(state: ClusterState, now: Milliseconds): Decision[] {
  return [...state.pipelines.values()].flatMap((pipeline) => {
    if (pipeline.state !== 'PLANNED' && pipeline.state !== 'LOADING') return [];
    const reason = mismatch(pipeline, state);
    return reason === undefined ? [] : [drain(pipeline, reason, now)];
  });
}

/** One pipeline at a time, so that two cannot be promised the same memory; first replicas before second ones. */
export function placeDeployments(state: ClusterState, now: Milliseconds): Decision[] {
  const pipelines = pipelinesByModel(state);
  const deployed = [...state.deployments.values()].map((deployment) =>
    ownPipelines(deployment, pipelines.get(deployment.modelId) ?? [], state),
  );
  for (const pipeline of state.pipelines.values()) {
    if (isComing(pipeline) && !state.deployments.get(pipeline.spec.modelId)?.replicas) {
      return [drain(pipeline, `${pipeline.spec.modelId} is not deployed any more`, now)];
    }
  }
  for (const own of deployed) {
    const surplus = surplusOf(own, state, now);
    if (surplus) return [surplus];
  }
  const short = deployed.filter(({ deployment, count }) => count < deployment.replicas && now >= deployment.retryAt);
  const first = (a: OwnPipelines, b: OwnPipelines) => a.count - b.count || byPrecedence(a.deployment, b.deployment);
  for (const own of short.sort(first)) {
    const decision = placeReplica(own, state, now);
    if (decision) return [decision];
  }
  return [];
}

interface OwnPipelines {
  readonly deployment: Deployment;
  /** As they are wanted: those that serve first, each kind in order of age. */
  readonly wanted: readonly Pipeline[];
  /** READY, and used until others can take their place. */
  readonly unwanted: readonly Pipeline[];
  /** Of the wanted ones that are READY. */
  readonly ready: number;
  /** Of the wanted ones, without those that are loaded to take the place of another. */
  readonly count: number;
}

function ownPipelines(deployment: Deployment, all: readonly Pipeline[], state: ClusterState): OwnPipelines {
  const own = all.filter(isComing);
  const fits = own.filter((pipeline) => mismatch(pipeline, state) === undefined);
  const ready = fits.filter((pipeline) => pipeline.state === 'READY');
  const coming = fits.filter((pipeline) => pipeline.state !== 'READY');
  const spares = fits.filter(({ replaces }) => ready.some(({ spec }) => spec.id === replaces));
  return {
    deployment,
    wanted: [...ready, ...coming],
    unwanted: own.filter((pipeline) => !fits.includes(pipeline)),
    ready: ready.length,
    count: fits.length - spares.length,
  };
}

/** Drains what has a successor, and what is more than is wanted. */
function surplusOf(
  { deployment, wanted, unwanted, ready, count }: OwnPipelines,
  state: ClusterState,
  now: Milliseconds,
): Decision | undefined {
  const { replicas } = deployment;
  for (const successor of wanted) {
    const replaced = wanted.find(({ spec }) => spec.id === successor.replaces);
    if (!replaced || successor.state !== 'READY') continue;
    const slower = isSlowerThanHoped(successor, replaced, state);
    if (slower === true) return drain(successor, `is not faster than ${replaced.spec.id} after all`, now);
    if (slower === false) return drain(replaced, `replaced by ${successor.spec.id}, which is faster`, now);
  }
  if (count > replicas) return drain(wanted.at(-1)!, `${replicas} replicas are enough`, now);
  const [oldest] = unwanted;
  if (oldest && unwanted.length > Math.max(0, replicas - ready)) {
    return drain(
      oldest,
      ready > 0 ? `replaced by ${wanted[ready - 1]!.spec.id}` : `${replicas} replicas are enough`,
      now,
    );
  }
  return undefined;
}

/**
 * A pipeline that is not wanted as it is serves until its successor is READY, or makes room when memory is short. While
 * nothing can take its place it goes on.
 */
function placeReplica(
  { deployment, unwanted }: OwnPipelines,
  state: ClusterState,
  now: Milliseconds,
): Decision | undefined {
  const placement = planDeployment(deployment, state);
  if ('pipeline' in placement) {
    const { pipeline } = placement;
    if (reservedFor(pipeline, deployment, state, now) !== undefined) return undefined;
    return { kind: 'create', at: now, pipeline };
  }
  const fitsWithout = ({ spec }: Pipeline) => 'pipeline' in planDeployment(deployment, state, { memoryOf: spec.id });
  const inTheWay = unwanted.find(fitsWithout);
  if (inTheWay) return drain(inTheWay, 'makes room for its successor', now);
  const spare = [...state.pipelines.values()].find((each) => isSpare(each, state) && fitsWithout(each));
  return spare && drain(spare, `makes room for ${deployment.modelId}`, now);
}

/** Loaded to take the place of one that serves as well. */
function isSpare(pipeline: Pipeline, { pipelines }: ClusterState): boolean {
  const replaced = pipeline.replaces === undefined ? undefined : pipelines.get(pipeline.replaces);
  return isComing(pipeline) && replaced?.state === 'READY';
}

function drain({ spec }: Pipeline, reason: string, now: Milliseconds): Decision {
  return { kind: 'drain', at: now, pipelineId: spec.id, reason };
}
