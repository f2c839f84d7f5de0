import type { ModelVersion, ModelView } from '@pangalactic/contracts';
import type { ClusterNode, ClusterState, Milliseconds, Pipeline } from './cluster-state';
import { viewPipeline, waitingFor } from './cluster-view';
import { isOnTheWay, modelState, originOf, pipelinesByModel, servedContext } from './model-state';
import { mismatch } from './mismatch';

/** Before that, the pace of a load tells nothing. */
const LEAST_PROGRESS = 0.05;

/** Every model that a connected node holds or that is meant to run, in order of id: `pangalactic model list`. */
export function viewModels(state: ClusterState, now: Milliseconds): ModelView[] {
  const held = connectedNodes(state).flatMap(({ models }) => models.map(({ id }) => id));
  const deployed = [...state.deployments.keys()];
  const running = [...state.pipelines.values()].map(({ spec }) => spec.modelId);
  return [...new Set([...held, ...deployed, ...running])].sort().map((id) => viewModel(id, state, now));
}

export function viewModel(id: string, state: ClusterState, now: Milliseconds): ModelView {
  const own = pipelinesByModel(state).get(id) ?? [];
  const modelStateNow = modelState(id, own, state);
  const deployment = state.deployments.get(id);
  const versions = versionsOf(id, state);
  const asWanted = own.filter((pipeline) => mismatch(pipeline, state) === undefined);
  const wantedState = modelStateNow === 'READY' ? modelState(id, asWanted, state) : modelStateNow;
  const progress =
    wantedState === 'READY' ? 1 : Math.max(0, ...own.filter(isOnTheWay).map((each) => loaded(each, state)));
  const isWaitedFor = wantedState === 'WAITING' || wantedState === 'LOADING';
  return {
    id,
    state: modelStateNow,
    progress,
    etaSeconds: wantedState === 'LOADING' ? timeLeft(own, state, now) : undefined,
    waitingFor: deployment && isWaitedFor ? waitingFor(deployment, state, now) : '',
    contextLength: servedContext(own) ?? versions[0]?.contextLength ?? 0,
    origin: originOf(id, state),
    versions,
    pipelines: own.map((pipeline) => viewPipeline(pipeline, state)),
    wantedState,
  };
}

/** Seconds until the first of the pipelines that load is READY. */
function timeLeft(own: readonly Pipeline[], state: ClusterState, now: Milliseconds): number | undefined {
  const left = own.filter(isOnTheWay).flatMap((pipeline) => {
    const progress = loaded(pipeline, state);
    if (progress < LEAST_PROGRESS) return [];
    return ((now - pipeline.since) * (1 - progress)) / progress / 1000;
  });
  return left.length > 0 ? Math.min(...left) : undefined;
}

/** Fraction of the bytes of a pipeline's stages, as far as their nodes told. */
function loaded({ spec }: Pipeline, { nodes }: ClusterState): number {
  const total = spec.stages.reduce((sum, { memoryBytes }) => sum + memoryBytes, 0);
  const done = spec.stages.reduce((sum, { nodeId, memoryBytes }) => {
    return sum + memoryBytes * (nodes.get(nodeId)?.shards.get(spec.id)?.progress ?? 0);
  }, 0);
  return total > 0 ? done / total : 0;
}

function versionsOf(modelId: string, state: ClusterState): ModelVersion[] {
  const versions = new Map<string, ModelVersion>();
  for (const node of connectedNodes(state)) {
    const model = node.models.find(({ id }) => id === modelId);
    if (!model) continue;
    const { fingerprint, architecture, layers, contextLength, fileBytes } = model;
    const same = versions.get(fingerprint);
    if (same) same.nodeIds.push(node.id);
    else versions.set(fingerprint, { fingerprint, architecture, layers, contextLength, fileBytes, nodeIds: [node.id] });
  }
  return [...versions.values()].sort((a, b) => b.nodeIds.length - a.nodeIds.length);
}

function connectedNodes({ nodes }: ClusterState): ClusterNode[] {
  return [...nodes.values()].filter(({ state }) => state === 'CONNECTED').sort((a, b) => (a.id < b.id ? -1 : 1));
}
