import { Injectable } from '@nestjs/common';
import type { WatchRoutesResponse } from '@pangalactic/contracts';
import { routes, type ClusterState } from '@pangalactic/scheduler';
import { HubMetrics } from '../metrics/hub-metrics';

/** The current route table and those who wait for the next one. */
@Injectable()
export class RouteTable {
  private table: WatchRoutesResponse = { routes: [], models: [] };
  private readonly watchers = new Set<() => void>();

  constructor(metrics: HubMetrics) {
    metrics.observeRouteWatchers(() => this.watcherCount);
  }

  publish(state: ClusterState): void {
    const next = routes(state);
    if (isSame(next, this.table)) return;
    this.table = next;
    for (const wake of this.watchers) wake();
  }

  /**
   * The table at once and again whenever it has changed since the last one was taken: a slow reader skips what was
   * replaced meanwhile, so it costs one table and not a queue of them.
   */
  async *watch(signal: AbortSignal): AsyncGenerator<WatchRoutesResponse> {
    let wake = () => {};
    const notify = () => wake();
    this.watchers.add(notify);
    signal.addEventListener('abort', notify);
    try {
      let sent: WatchRoutesResponse | undefined;
      while (!signal.aborted) {
        if (sent === this.table) await new Promise<void>((resolve) => (wake = resolve));
        else yield (sent = this.table);
      }
    } finally {
      this.watchers.delete(notify);
      signal.removeEventListener('abort', notify);
    }
  }

  get watcherCount(): number {
    return this.watchers.size;
  }
}

/** A pipeline never changes under its id, and one that was READY is never READY again later. */
function isSame(a: WatchRoutesResponse, b: WatchRoutesResponse): boolean {
  return signature(a) === signature(b);
}

function signature({ routes, models }: WatchRoutesResponse): string {
  return JSON.stringify([routes.map(({ pipeline }) => pipeline?.id), models]);
}
