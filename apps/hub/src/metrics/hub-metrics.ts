import { Injectable } from '@nestjs/common';
import { toPangalacticError, type ErrorCode } from '@pangalactic/contracts';
import { createMetrics, HUB_METRICS, readOnScrape, type Sample } from '@pangalactic/observability';
import { originOf, pipelinesByModel } from '@pangalactic/scheduler';
import type { Advance, ClusterNode, ClusterState, NodeState, PipelineState } from '@pangalactic/scheduler';

const NODE_STATES: readonly NodeState[] = ['CONNECTED', 'RECONNECTING', 'LEAVING', 'SUSPECT', 'FAILED'];
const PIPELINE_STATES: readonly PipelineState[] = ['PLANNED', 'LOADING', 'READY', 'DRAINING', 'GONE', 'BROKEN'];
/** Any other is a defect, and is counted when it comes. */
const STATE_ERRORS: readonly ErrorCode[] = ['state_unavailable', 'state_outcome_unknown'];

export interface StateOperation {
  readonly backend: string;
  readonly operation: 'commit' | 'get' | 'list';
}

@Injectable()
export class HubMetrics {
  private readonly metrics = createMetrics(HUB_METRICS);
  private cluster: ClusterState | undefined;

  constructor() {
    const { nodes, drainedNodes, pipelines } = this.metrics;
    const counted = <Label extends string>(count: (cluster: ClusterState) => Sample<Label>[]) => {
      return () => (this.cluster ? count(this.cluster) : []);
    };
    readOnScrape(nodes, counted(nodeCounts));
    readOnScrape(
      drainedNodes,
      counted((cluster) => [[{}, nodesOf(cluster).filter(({ drained }) => drained).length]]),
    );
    readOnScrape(pipelines, counted(pipelineCounts));
  }

  /** What this hub knows of the cluster, as the leader or as a standby; counted when somebody scrapes. */
  observeCluster(state: ClusterState): void {
    this.cluster = state;
  }

  observeLeadership(term: number | undefined): void {
    this.metrics.leader.set(term === undefined ? 0 : 1);
    if (term === undefined) this.metrics.term.reset();
    else this.metrics.term.set(term);
  }

  /** @param milliseconds since the most silent session was heard, whenever somebody scrapes */
  observeHeartbeats(milliseconds: () => number): void {
    readOnScrape(this.metrics.oldestHeartbeat, () => [[{}, milliseconds() / 1_000]]);
  }

  observeRouteWatchers(count: () => number): void {
    readOnScrape(this.metrics.routeWatchers, () => [[{}, count()]]);
  }

  heartbeat(): void {
    this.metrics.heartbeats.inc();
  }

  timeReconcile(reconcile: () => Advance): Advance {
    const startedAt = performance.now();
    const result = reconcile();
    const seconds = secondsSince(startedAt);
    this.metrics.reconcileDuration.observe(seconds);
    if (result.decisions.some(({ kind }) => kind === 'create')) this.metrics.planDuration.observe(seconds);
    return result;
  }

  /** It is stored by now. */
  changed(changes: Advance['changes']): void {
    for (const { event } of changes) this.metrics.events.inc({ event });
  }

  /** What begins at 1 has no increase yet when an alert asks for it. */
  expectStateErrors(labels: StateOperation): void {
    for (const code of STATE_ERRORS) this.metrics.stateErrors.inc({ ...labels, code }, 0);
  }

  async timeStateOperation<T>(labels: StateOperation, operation: () => Promise<T>): Promise<T> {
    const startedAt = performance.now();
    try {
      return await operation();
    } catch (error) {
      this.metrics.stateErrors.inc({ ...labels, code: toPangalacticError(error).code });
      throw error;
    } finally {
      this.metrics.stateDuration.observe({ ...labels }, secondsSince(startedAt));
    }
  }
}

function nodesOf({ nodes }: ClusterState): ClusterNode[] {
  return [...nodes.values()];
}

function nodeCounts(cluster: ClusterState): Sample<'state'>[] {
  return NODE_STATES.map((state) => [{ state }, nodesOf(cluster).filter((node) => node.state === state).length]);
}

/**
 * Zeros too for what the configuration or an operator wants: somebody has to see that it does not serve. What clients alone ask
 * for may find no place, and what an operator unloaded has none.
 */
function pipelineCounts(cluster: ClusterState): Sample<'model' | 'state'>[] {
  const byModel = pipelinesByModel(cluster);
  return [...new Set([...cluster.deployments.keys(), ...byModel.keys()])].flatMap((model) => {
    const isWanted = !['', 'REQUEST'].includes(originOf(model, cluster));
    const own = byModel.get(model) ?? [];
    const counts = PIPELINE_STATES.map((state) => ({
      state,
      count: own.filter((each) => each.state === state).length,
    }));
    return counts.flatMap(({ state, count }) => (count > 0 || isWanted ? [[{ model, state }, count] as const] : []));
  });
}

function secondsSince(startedAt: number): number {
  return (performance.now() - startedAt) / 1_000;
}
