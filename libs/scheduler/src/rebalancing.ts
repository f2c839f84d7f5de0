import type { Milliseconds } from './cluster-state';

/** What is remembered of faster places for healthy pipelines. */
export interface Rebalancing {
  readonly assessedAt: Milliseconds;
  readonly movedAt: Milliseconds;
  /** Since when a pipeline, by id, could be much faster elsewhere. */
  readonly fasterSince: ReadonlyMap<string, Milliseconds>;
}

export function noRebalancing(now: Milliseconds): Rebalancing {
  return { assessedAt: now, movedAt: now, fasterSince: new Map() };
}
