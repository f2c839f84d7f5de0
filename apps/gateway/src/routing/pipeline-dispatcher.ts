import { setImmediate as nextTurn } from 'node:timers/promises';
import { Injectable } from '@nestjs/common';
import { PangalacticError } from '@pangalactic/contracts';
import { GatewayMetrics } from '../metrics/gateway-metrics';
import { ModelLoads } from './model-loads';
import { pickRoute } from './pick-route';
import { PrefixMemory, type PromptPrefix } from './prefix-memory';
import { RouteDirectory } from './route-directory';
import type { PipelineRoute } from './route-table';

/** Requests without a route that may wait at once; each holds its body in memory. */
const MAX_WAITING = 1024;

export interface RouteDemand {
  readonly modelId: string;
  /** Of its prompt, from the shortest to the longest. */
  readonly prefixes: readonly PromptPrefix[];
  /** Set once a sequence is bound to certain weights. */
  readonly fingerprint: string | undefined;
  /** Pipelines that failed this request: taken only when there is no other. */
  readonly avoid: ReadonlySet<string>;
  /** Pipelines that are known to be gone. */
  readonly lost: ReadonlySet<string>;
  /** Set for a completion that has begun: the tokens that it has already. It goes before those that have not. */
  readonly resumedTokens: number | undefined;
}

/** A request's place in a pipeline's count of outstanding work. */
export interface PipelineLease {
  readonly route: PipelineRoute;
  readonly release: () => void;
}

/** Decides which pipeline serves a request, and lets requests wait while there is none. */
@Injectable()
export class PipelineDispatcher {
  private readonly outstanding = new Map<string, number>();
  private readonly prefixMemory = new PrefixMemory();
  private waiting = 0;

  constructor(
    private readonly directory: RouteDirectory,
    private readonly loads: ModelLoads,
    metrics: GatewayMetrics,
  ) {
    metrics.observeKvCache(() => this.kvCacheUsage);
  }

  /**
   * @param signal ends the wait; its reason is thrown
   * @throws PangalacticError `model_not_found`, or `queue_full` when too many requests wait already
   */
  async acquire(demand: RouteDemand, signal: AbortSignal): Promise<PipelineLease> {
    const found = this.choose(demand);
    if (found) return this.lease(found, demand.prefixes);
    const stopWaiting = this.loads.waitFor(demand.modelId);
    try {
      for (;;) {
        await this.waitForTable(demand, signal);
        const route = this.choose(demand);
        if (route) return this.lease(route, demand.prefixes);
      }
    } finally {
      stopWaiting();
    }
  }

  /** Pipelines that may serve the model now. */
  pipelinesOf(modelId: string): string[] {
    return (this.directory.current?.routesOf(modelId) ?? []).map((route) => route.pipelineId);
  }

  /** Outstanding requests of this gateway, as part of the slots that there are; beyond 1 they wait at a head. */
  private get kvCacheUsage(): number {
    const slots = (this.directory.current?.routes ?? []).reduce((sum, { maxSequences }) => sum + maxSequences, 0);
    const outstanding = [...this.outstanding.values()].reduce((sum, count) => sum + count, 0);
    return slots === 0 ? 0 : Math.min(1, outstanding / slots);
  }

  private choose({
    modelId,
    prefixes,
    fingerprint,
    avoid,
    lost,
    resumedTokens = 0,
  }: RouteDemand): PipelineRoute | undefined {
    const table = this.directory.current;
    if (table && !table.knows(modelId)) throw modelNotFound(modelId);
    const routes = (table?.routesOf(modelId) ?? []).filter(
      (route) =>
        (fingerprint === undefined || route.fingerprint === fingerprint) &&
        !lost.has(route.pipelineId) &&
        route.contextLength >= resumedTokens,
    );
    const untried = routes.filter((route) => !avoid.has(route.pipelineId));
    const outstanding = (pipelineId: string) => this.outstanding.get(pipelineId) ?? 0;
    const cachedShare = this.prefixMemory.lookUp(prefixes);
    return pickRoute(untried.length > 0 ? untried : routes, { outstanding, cachedShare }, Math.random());
  }

  private lease(route: PipelineRoute, prefixes: readonly PromptPrefix[]): PipelineLease {
    const { pipelineId } = route;
    this.prefixMemory.learn(prefixes, pipelineId);
    this.outstanding.set(pipelineId, (this.outstanding.get(pipelineId) ?? 0) + 1);
    const release = () => {
      const left = (this.outstanding.get(pipelineId) ?? 0) - 1;
      if (left > 0) this.outstanding.set(pipelineId, left);
      else this.outstanding.delete(pipelineId);
    };
    return { route, release };
  }

  private async waitForTable({ resumedTokens }: RouteDemand, signal: AbortSignal): Promise<void> {
    // Of those that have begun there are not more than there were places.
    if (resumedTokens !== undefined) return this.directory.changed(signal);
    if (this.waiting >= MAX_WAITING) {
      throw new PangalacticError('queue_full', `${MAX_WAITING} requests are waiting for a pipeline already.`);
    }
    this.waiting += 1;
    try {
      await this.directory.changed(signal);
      // Those that resume have asked for a place by then.
      await nextTurn();
    } finally {
      this.waiting -= 1;
    }
  }
}

export function modelNotFound(modelId: string): PangalacticError {
  return new PangalacticError('model_not_found', `The model '${modelId}' does not exist.`, { param: 'model' });
}
