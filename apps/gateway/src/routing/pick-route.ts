import type { PipelineRoute } from './route-table';

/**
 * The route with the least outstanding work for its size. Equals are drawn by lot, because every gateway counts only
 * its own requests: a fixed order would send all of them to the same pipeline first.
 * @param outstanding this gateway's unfinished requests on a pipeline
 * @param lot a random number in [0, 1)
 */
export function pickRoute(
  routes: readonly PipelineRoute[],
  outstanding: (pipelineId: string) => number,
  lot: number,
): PipelineRoute | undefined {
  const load = (route: PipelineRoute) => outstanding(route.pipelineId) / Math.max(1, route.maxSequences);
  const leastLoad = Math.min(...routes.map(load));
  const candidates = routes.filter((route) => load(route) === leastLoad);
  return candidates[Math.floor(lot * candidates.length)];
}
