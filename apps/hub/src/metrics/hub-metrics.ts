import { Injectable } from '@nestjs/common';
import type { ClusterState, NodeState, PipelineState } from '@pangalactic/scheduler';
import { InjectMetric } from '@willsoto/nestjs-prometheus';
import { Gauge, Histogram } from 'prom-client';
import { NODES, PIPELINES, RECONCILE_DURATION, STATE_COMMIT_DURATION } from './metric-providers';

const NODE_STATES: readonly NodeState[] = ['CONNECTED', 'RECONNECTING', 'LEAVING', 'SUSPECT', 'FAILED'];
const PIPELINE_STATES: readonly PipelineState[] = ['PLANNED', 'LOADING', 'READY', 'DRAINING', 'GONE', 'BROKEN'];

@Injectable()
export class HubMetrics {
  constructor(
    @InjectMetric(NODES) private readonly nodes: Gauge<'state'>,
    @InjectMetric(PIPELINES) private readonly pipelines: Gauge<'state'>,
    @InjectMetric(RECONCILE_DURATION) private readonly reconcileDuration: Histogram,
    @InjectMetric(STATE_COMMIT_DURATION) private readonly commitDuration: Histogram,
  ) {}

  observe(state: ClusterState): void {
    setByState(this.nodes, NODE_STATES, state.nodes);
    setByState(this.pipelines, PIPELINE_STATES, state.pipelines);
  }

  timeReconcile<T>(reconcile: () => T): T {
    const end = this.reconcileDuration.startTimer();
    try {
      return reconcile();
    } finally {
      end();
    }
  }

  /** @param commit resolves with whether there was anything to write; only then it counts */
  async timeCommit(commit: () => Promise<boolean>): Promise<void> {
    const startedAt = performance.now();
    let counts = true;
    try {
      counts = await commit();
    } finally {
      if (counts) this.commitDuration.observe((performance.now() - startedAt) / 1000);
    }
  }
}

function setByState<S extends string>(
  gauge: Gauge<'state'>,
  states: readonly S[],
  objects: ReadonlyMap<string, { readonly state: S }>,
): void {
  const counts = new Map<S, number>(states.map((state) => [state, 0]));
  for (const { state } of objects.values()) counts.set(state, (counts.get(state) ?? 0) + 1);
  for (const [state, count] of counts) gauge.set({ state }, count);
}
