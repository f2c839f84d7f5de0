import { Inject, Injectable, type OnApplicationBootstrap, type OnApplicationShutdown } from '@nestjs/common';
import { HUB_CONFIG, type HubConfig } from '@pangalactic/config';
import { CLOCK, type Clock } from '../clock';
import { NodeRegistry } from '../registry/node-registry';
import { Reconciler } from './reconciler';

/** Lets the reconciler know that time passes, and which nodes were heard meanwhile. */
@Injectable()
export class FailureDetector implements OnApplicationBootstrap, OnApplicationShutdown {
  private timer: NodeJS.Timeout | undefined;
  private ticking = false;

  constructor(
    @Inject(HUB_CONFIG) private readonly config: HubConfig,
    @Inject(CLOCK) private readonly clock: Clock,
    private readonly registry: NodeRegistry,
    private readonly reconciler: Reconciler,
  ) {}

  onApplicationBootstrap(): void {
    const interval = Math.min(1_000, Math.max(20, this.config.heartbeatTimeoutMs / 15));
    this.timer = setInterval(() => void this.tick(), interval);
  }

  onApplicationShutdown(): void {
    clearInterval(this.timer);
  }

  /** Skipped while an earlier one waits: beats stay with the registry until they can be taken. */
  async tick(): Promise<void> {
    if (this.ticking) return;
    this.ticking = true;
    await this.reconciler.submit({ kind: 'tick', at: this.clock.now(), beats: this.registry.takeBeats() });
    this.ticking = false;
  }
}
