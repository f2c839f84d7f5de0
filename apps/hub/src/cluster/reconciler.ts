import { setImmediate as nextTurn, setTimeout as delay } from 'node:timers/promises';
import { Inject, Injectable, Logger, type OnApplicationShutdown } from '@nestjs/common';
import { HUB_CONFIG, type HubConfig } from '@pangalactic/config';
import { PangalacticError, type ErrorCode } from '@pangalactic/contracts';
import { advance, restoreCluster, type Advance, type ClusterState, type Observation } from '@pangalactic/scheduler';
import type { LeadershipTerm } from '@pangalactic/state';
import { Backoff } from '@pangalactic/transport';
import { CLOCK, type Clock } from '../clock';
import { HubMetrics } from '../metrics/hub-metrics';
import { RouteTable } from '../routes/route-table';
import { ClusterStore } from '../state/cluster-store';
import { Commander } from './commander';
import { FATAL_HANDLER, type FatalHandler } from './fatal-handler';

/** Saving again is harmless, so it is the answer to not knowing, too. */
const PASSING_FAILURES: readonly ErrorCode[] = ['state_unavailable', 'state_outcome_unknown'];

const TROUBLE: ReadonlySet<string> = new Set(['node_failed', 'pipeline_broken', 'plan_unfinished']);

/** After a decision the hub pauses for as long as it took, so that it has time to listen, but for no longer than this. */
const LONGEST_PAUSE_MS = 50;

interface Submission {
  readonly observation: Observation;
  readonly settle: () => void;
}

/**
 * The only writer of the cluster state: takes observations in order, lets the scheduler decide, stores, and only then
 * acts. So nothing is ever sent or routed that a hub restarted at this moment would not know of.
 */
@Injectable()
export class Reconciler implements OnApplicationShutdown {
  private readonly logger = new Logger('reconciler');
  private readonly backoff = new Backoff({ initialMs: 100, maxMs: 5_000, random: Math.random });
  private readonly stopping = new AbortController();
  /** Bounded by its submitters: each waits for its observation before it submits another. */
  private queue: Submission[] = [];
  private wake: (() => void) | undefined;
  private running: Promise<void> = Promise.resolve();
  private current: ClusterState;
  private term: LeadershipTerm | undefined;

  constructor(
    @Inject(HUB_CONFIG) private readonly config: HubConfig,
    @Inject(CLOCK) private readonly clock: Clock,
    @Inject(FATAL_HANDLER) private readonly fatal: FatalHandler,
    private readonly store: ClusterStore,
    private readonly commander: Commander,
    private readonly routeTable: RouteTable,
    private readonly metrics: HubMetrics,
  ) {}

  /** As stored. Only for a leader. */
  get state(): ClusterState {
    return this.current;
  }

  /** Undefined in a hub that does not lead. */
  get leadership(): LeadershipTerm | undefined {
    return this.term;
  }

  async start({ clusterId, term }: LeadershipTerm): Promise<void> {
    const { heartbeatTimeoutMs, models, pipelineStages: stages, autoload } = this.config;
    const settings = { term, heartbeatTimeoutMs, wanted: { models, stages, autoload } };
    this.current = restoreCluster(await this.store.load(), settings, this.clock.now());
    this.term = { clusterId, term };
    this.metrics.observeLeadership(term);
    this.publish();
    this.logger.log({
      event: 'leading',
      ...this.term,
      nodes: this.current.nodes.size,
      pipelines: this.current.pipelines.size,
    });
    this.running = this.run().catch((error: unknown) => this.fatal(error));
  }

  /** Nothing is decided or commanded after it was called. */
  async stop(): Promise<void> {
    this.stopping.abort();
    this.term = undefined;
    this.metrics.observeLeadership(undefined);
    this.wake?.();
    await this.running;
    this.queue.splice(0).forEach(({ settle }) => settle());
  }

  async onApplicationShutdown(): Promise<void> {
    await this.stop();
    await this.store.close();
  }

  /** Resolves when the observation has taken effect, or when the hub stops. */
  submit(observation: Observation): Promise<void> {
    if (this.stopping.signal.aborted || !this.term) return Promise.resolve();
    return new Promise((settle) => {
      this.queue.push({ observation, settle });
      this.wake?.();
    });
  }

  private async run(): Promise<void> {
    let nextAt = 0;
    while (!this.stopping.signal.aborted) {
      if (this.queue.length === 0) await new Promise<void>((resolve) => (this.wake = resolve));
      // What comes meanwhile shares the commit: a thousand nodes may register at once.
      const pause = nextAt - performance.now();
      await (pause >= 1 ? delay(pause) : nextTurn());
      const startedAt = performance.now();
      const batch = this.queue.splice(0);
      await this.reconcile(batch.map(({ observation }) => observation));
      batch.forEach(({ settle }) => settle());
      const endedAt = performance.now();
      nextAt = endedAt + Math.min(endedAt - startedAt, LONGEST_PAUSE_MS);
    }
  }

  private async reconcile(observations: readonly Observation[]): Promise<void> {
    const before = this.current;
    const result = this.metrics.timeReconcile(() => advance(before, observations, this.clock.now()));
    if (!(await this.stored(before, result.state)) || this.stopping.signal.aborted) return;
    this.current = result.state;
    this.act(result);
  }

  /** Tries for as long as it takes: without its repository the hub decides nothing, and running pipelines go on. */
  private async stored(before: ClusterState, after: ClusterState): Promise<boolean> {
    while (!this.stopping.signal.aborted) {
      try {
        await this.store.save(before, after);
        this.backoff.reset();
        return true;
      } catch (error) {
        if (!(error instanceof PangalacticError) || !PASSING_FAILURES.includes(error.code)) throw error;
        this.logger.error({ event: 'state_commit_failed', error: error.message });
        await delay(this.backoff.nextDelayMs(), undefined, { signal: this.stopping.signal }).catch(() => undefined);
      }
    }
    return false;
  }

  private act({ state, decisions, changes }: Advance): void {
    for (const change of changes) {
      if (TROUBLE.has(change.event)) this.logger.warn(change);
      else this.logger.log(change);
    }
    this.metrics.changed(changes);
    this.publish();
    if (this.term) this.commander.act(decisions, state, this.term);
    this.commander.endSilentSessions(changes, state);
  }

  private publish(): void {
    this.routeTable.publish(this.current);
    this.metrics.observeCluster(this.current);
  }
}
