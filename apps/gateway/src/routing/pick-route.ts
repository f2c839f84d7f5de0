import type { PipelineRoute } from './route-table';

/**
 * A pipeline that has all of a prompt may be busier by this part of its slots than the least busy one and still gets it:
 * the rest of a conversation follows it there, so that a small difference in load does not move it back and forth.
 */
const AFFINITY = 0.25;

/** What is known of a pipeline at this gateway. */
export interface RouteFacts {
  /** This gateway's unfinished requests on it. */
  readonly outstanding: (pipelineId: string) => number;
  /** The part of the prompt, 0 to 1, that it may have in its KV cache. */
  readonly cachedShare: (pipelineId: string) => number;
}

/**
 * The route with the least outstanding work for its size, less what it saves by its cache. Equals are drawn by lot,
 * because every gateway counts only its own requests: a fixed order would send all of them to the same pipeline first.
 * @param lot a random number in [0, 1)
 */
export function pickRoute(
  routes: readonly PipelineRoute[],
  { outstanding, cachedShare }: RouteFacts,
  lot: number,
): PipelineRoute | undefined {
  const cost = ({ pipelineId, maxSequences }: PipelineRoute) =>
    outstanding(pipelineId) / Math.max(1, maxSequences) - AFFINITY * cachedShare(pipelineId);
  const costs = routes.map(cost);
  const least = Math.min(...costs);
  const candidates = routes.filter((_route, index) => costs[index] === least);
  return candidates[Math.floor(lot * candidates.length)];
}
