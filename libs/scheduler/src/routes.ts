import type { WatchRoutesResponse } from '@pangalactic/contracts';
import type { ClusterState } from './cluster-state';
import { isRouted, summarizeModels } from './model-state';

/** What gateways need: READY pipelines without a doubtful node, and the models. Equal states give equal tables, in order of id. */
export function routes(state: ClusterState): WatchRoutesResponse {
  return {
    routes: [...state.pipelines.values()]
      .filter((pipeline) => isRouted(pipeline, state))
      .map((pipeline) => ({ pipeline: pipeline.spec, readyAt: Math.floor(pipeline.since / 1000) }))
      .sort((a, b) => (a.pipeline.id < b.pipeline.id ? -1 : 1)),
    models: summarizeModels(state),
  };
}
