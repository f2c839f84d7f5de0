import type { ModelSummary } from '@pangalactic/contracts';
import { isComing, type ClusterState, type Pipeline } from './cluster-state';

/** NOT_LOADED, UNLOADING: it is not meant to run. WAITING: it is, and nothing is on the way yet. */
export type ModelState = 'NOT_LOADED' | 'WAITING' | 'LOADING' | 'READY' | 'UNLOADING';

/** Models that are meant to run and those that would be loaded for a client, in order of id. */
export function summarizeModels(state: ClusterState): ModelSummary[] {
  const pipelines = pipelinesByModel(state);
  const trained = trainedContexts(state);
  const loadable = state.wanted.autoload === false ? [] : trained.keys();
  const deployed = [...state.deployments.values()].flatMap(({ replicas, modelId }) => (replicas > 0 ? modelId : []));
  return [...new Set([...deployed, ...loadable])].sort().map((id) => {
    const own = pipelines.get(id) ?? [];
    return {
      id,
      state: modelState(id, own, state),
      contextLength: servedContext(own) ?? trained.get(id) ?? 0,
      origin: originOf(id, state),
    };
  });
}

/** @param own all pipelines of the model */
export function modelState(modelId: string, own: readonly Pipeline[], state: ClusterState): ModelState {
  if (originOf(modelId, state) === '') return own.length > 0 ? 'UNLOADING' : 'NOT_LOADED';
  if (own.some((pipeline) => isRouted(pipeline, state))) return 'READY';
  return own.some(isOnTheWay) ? 'LOADING' : 'WAITING';
}

/** READY, and none of its nodes is doubtful. */
export function isRouted({ spec, state }: Pipeline, { nodes }: ClusterState): boolean {
  if (state !== 'READY') return false;
  return spec.stages.every(({ nodeId }) => {
    const node = nodes.get(nodeId);
    return node?.state === 'CONNECTED' || node?.state === 'RECONNECTING';
  });
}

/** It does not serve yet. */
export function isOnTheWay({ state }: Pipeline): boolean {
  return state === 'PLANNED' || state === 'LOADING';
}

/** Tokens that a sequence may hold on any of a model's pipelines, once there is one. */
export function servedContext(own: readonly Pipeline[]): number | undefined {
  const lengths = own.filter(isComing).map(({ spec }) => spec.contextLength);
  return lengths.length > 0 ? Math.min(...lengths) : undefined;
}

/** Empty for a model that is not meant to run. */
export function originOf(modelId: string, { deployments }: ClusterState): string {
  const deployment = deployments.get(modelId);
  return deployment?.replicas ? deployment.origin : '';
}

export function pipelinesByModel({ pipelines }: ClusterState): ReadonlyMap<string, Pipeline[]> {
  const byModel = new Map<string, Pipeline[]>();
  for (const pipeline of pipelines.values()) {
    const { modelId } = pipeline.spec;
    const own = byModel.get(modelId);
    if (own) own.push(pipeline);
    else byModel.set(modelId, [pipeline]);
  }
  return byModel;
}

function trainedContexts({ nodes }: ClusterState): ReadonlyMap<string, number> {
  const trained = new Map<string, number>();
  for (const { state, held } of nodes.values()) {
    if (state !== 'CONNECTED' && state !== 'RECONNECTING') continue;
    for (const { id, contextLength } of held) trained.set(id, contextLength);
  }
  return trained;
}
