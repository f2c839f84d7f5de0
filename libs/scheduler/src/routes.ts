import type { WatchRoutesResponse } from '@pangalactic/contracts';
import type { ClusterState } from './cluster-state';

/** What gateways need: READY pipelines without a doubtful node. Equal states give equal tables, in order of id. */
export function routes(state: ClusterState): WatchRoutesResponse {
  const usable = [...state.pipelines.values()].filter(
    (pipeline) =>
      pipeline.state === 'READY' &&
      pipeline.spec.stages.every(({ nodeId }) => {
        const node = state.nodes.get(nodeId);
        return node?.state === 'CONNECTED' || node?.state === 'RECONNECTING';
      }),
  );
  return {
    routes: usable
      .map((pipeline) => ({ pipeline: pipeline.spec, readyAt: Math.floor(pipeline.since / 1000) }))
      .sort((a, b) => (a.pipeline.id < b.pipeline.id ? -1 : 1)),
    deployedModels: [...state.deployments.values()]
      .filter(({ replicas }) => replicas > 0)
      .map(({ modelId }) => modelId)
      .sort(),
  };
}
