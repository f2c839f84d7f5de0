import { setTimeout as delay } from 'node:timers/promises';
import { Inject, Injectable, Logger } from '@nestjs/common';
import { HUB_CONFIG, type HubConfig } from '@pangalactic/config';
import { PangalacticError, toPangalacticError, type GetClusterResponse } from '@pangalactic/contracts';
import { restoreCluster, viewCluster, type ClusterState } from '@pangalactic/scheduler';
import { Backoff, connectHub } from '@pangalactic/transport';
import { CLOCK, type Clock } from '../clock';
import { HubMetrics } from '../metrics/hub-metrics';
import { RouteTable } from '../routes/route-table';
import { ClusterStore } from '../state/cluster-store';
import { HubAddress } from './hub-address';

const LEADER_DEADLINE_MS = 2_000;

/** What a hub does that does not lead: it publishes the routes as they are stored, and knows who leads. */
@Injectable()
export class Standby {
  private readonly logger = new Logger('standby');
  private current: ClusterState;

  constructor(
    @Inject(HUB_CONFIG) private readonly config: HubConfig,
    @Inject(CLOCK) private readonly clock: Clock,
    private readonly address: HubAddress,
    private readonly store: ClusterStore,
    private readonly routeTable: RouteTable,
    private readonly metrics: HubMetrics,
  ) {
    this.current = restoreCluster({ nodes: [], pipelines: [], deployments: [] }, this.settings(0), clock.now());
  }

  /** Until the signal aborts. @throws PangalacticError `corrupt_state` */
  async follow(signal: AbortSignal): Promise<void> {
    const backoff = new Backoff({ initialMs: 200, maxMs: 5_000, random: Math.random });
    while (!signal.aborted) {
      try {
        for await (const stored of this.store.follow(signal)) {
          backoff.reset();
          this.current = restoreCluster(stored, this.settings(0), this.clock.now());
          this.routeTable.publish(this.current);
          this.metrics.observeCluster(this.current);
        }
      } catch (error) {
        const { code, message } = toPangalacticError(error);
        if (code === 'corrupt_state') throw error;
        this.logger.warn({ event: 'state_not_followed', error: message });
      }
      await delay(backoff.nextDelayMs(), undefined, { signal }).catch(() => undefined);
    }
  }

  /** The leader's own view, or the stored one while nobody leads. */
  async cluster(): Promise<GetClusterResponse> {
    const { clusterId, term, leader } = await this.otherLeader();
    if (leader !== undefined) {
      const hub = connectHub(leader, { clusterToken: this.config.clusterToken });
      try {
        return await hub.getCluster({}, { deadlineMs: LEADER_DEADLINE_MS });
      } catch (error) {
        this.logger.warn({ event: 'leader_not_reached', leader, error: toPangalacticError(error).message });
      } finally {
        hub.close();
      }
    }
    return { clusterId, ...viewCluster({ ...this.current, term }, this.clock.now()) };
  }

  /** For those who need the leader. */
  async refusal(): Promise<PangalacticError> {
    const { leader } = await this.otherLeader();
    return leader === undefined
      ? new PangalacticError('not_leader', 'this hub is a standby, and no hub leads yet')
      : new PangalacticError('not_leader', `this hub is a standby: ${leader} leads`, { redirectTo: leader });
  }

  /** A hub whose election is just over does not count: it would ask itself. */
  private async otherLeader() {
    const { leader, ...term } = await this.store.currentTerm();
    return { ...term, leader: leader === (await this.address.find()) ? undefined : leader };
  }

  private settings(term: number) {
    const { heartbeatTimeoutMs, models, pipelineStages: stages, autoload } = this.config;
    return { term, heartbeatTimeoutMs, wanted: { models, stages, autoload } };
  }
}
