import { setTimeout as delay } from 'node:timers/promises';
import { Inject, Injectable, Logger, type OnApplicationShutdown, type OnModuleInit } from '@nestjs/common';
import { HUB_CONFIG, type HubConfig } from '@pangalactic/config';
import { Backoff } from '@pangalactic/transport';
import { ClusterStore } from '../state/cluster-store';
import { FATAL_HANDLER, type FatalHandler } from './fatal-handler';
import { HubAddress } from './hub-address';
import { Reconciler } from './reconciler';
import { Standby } from './standby';

/** A hub that finds nobody leading has begun to lead before it serves; one that does not serves as a standby. */
const FIRST_ATTEMPT_MS = 2_000;

/** Starts the reconciler once this hub leads, and stops it for good when that is over. */
@Injectable()
export class LeaderElection implements OnModuleInit, OnApplicationShutdown {
  private readonly logger = new Logger('election');
  private readonly stopping = new AbortController();
  private running: Promise<void> = Promise.resolve();

  constructor(
    @Inject(HUB_CONFIG) private readonly config: HubConfig,
    @Inject(FATAL_HANDLER) private readonly fatal: FatalHandler,
    private readonly address: HubAddress,
    private readonly store: ClusterStore,
    private readonly standby: Standby,
    private readonly reconciler: Reconciler,
  ) {}

  async onModuleInit(): Promise<void> {
    let serving = false;
    const leading = this.lead();
    this.running = leading.catch((error: unknown) => {
      if (serving && !this.stopping.signal.aborted) this.fatal(error);
    });
    const patience = new AbortController();
    const late = delay(FIRST_ATTEMPT_MS, true, { signal: patience.signal }).catch(() => false);
    const isStandby = await Promise.race([leading.then(() => false), late]).finally(() => patience.abort());
    serving = true;
    if (isStandby) this.logger.log({ event: 'standby', stateBackend: this.config.stateBackend });
  }

  async onApplicationShutdown(): Promise<void> {
    this.stopping.abort();
    await this.running;
  }

  private async lead(): Promise<void> {
    const following = new AbortController();
    const candidacy = new AbortController();
    const followed = this.standby.follow(AbortSignal.any([this.stopping.signal, following.signal]));
    // A standby that cannot trust the state has no business leading on it.
    followed.catch((error: unknown) => candidacy.abort(error));
    try {
      const signal = AbortSignal.any([this.stopping.signal, candidacy.signal]);
      const leadership = await this.store.lead({ address: await this.ownAddress(signal), signal });
      const { lost } = leadership;
      if (lost.aborted) throw lost.reason;
      lost.addEventListener('abort', () => void this.stepDown(lost.reason));
      following.abort();
      await followed;
      await this.reconciler.start(leadership);
    } finally {
      following.abort();
    }
  }

  /** Its supervisor starts it again, and then it is a standby: no state of a past term can linger. */
  private async stepDown(reason: unknown): Promise<void> {
    await this.reconciler.stop();
    this.fatal(reason);
  }

  /** Known once etcd can be reached, which nobody can lead without. */
  private async ownAddress(signal: AbortSignal): Promise<string> {
    const backoff = new Backoff({ initialMs: 200, maxMs: 2_000, random: Math.random });
    for (;;) {
      try {
        return await this.address.find();
      } catch (error) {
        this.logger.warn({ event: 'own_address_unknown', error: String(error) });
      }
      await delay(backoff.nextDelayMs(), undefined, { signal });
    }
  }
}
