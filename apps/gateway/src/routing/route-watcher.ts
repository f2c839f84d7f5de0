import { Inject, Injectable, Logger } from '@nestjs/common';
import type { OnApplicationBootstrap, OnApplicationShutdown } from '@nestjs/common';
import { formatAddress, GATEWAY_CONFIG } from '@pangalactic/config';
import type { GatewayConfig } from '@pangalactic/config';
import { toPangalacticError } from '@pangalactic/contracts';
import { Backoff, connectHub } from '@pangalactic/transport';
import type { HubClient } from '@pangalactic/transport';
import { delay } from '../abort';
import { GatewayMetrics } from '../metrics/gateway-metrics';
import { RouteDirectory } from './route-directory';
import { RouteTable } from './route-table';

/** Keeps the directory up to date from the hub's watch stream, for as long as the process runs. */
@Injectable()
export class RouteWatcher implements OnApplicationBootstrap, OnApplicationShutdown {
  private readonly logger = new Logger(RouteWatcher.name);
  private readonly stopped = new AbortController();
  private readonly hub: HubClient;
  private watching: Promise<void> | undefined;
  /** So that an outage is one line in the log, however long it lasts. */
  private hubIsAway = false;

  constructor(
    private readonly directory: RouteDirectory,
    private readonly metrics: GatewayMetrics,
    @Inject(GATEWAY_CONFIG) config: GatewayConfig,
  ) {
    this.hub = connectHub(formatAddress(config.hubAddress), { clusterToken: config.clusterToken });
  }

  onApplicationBootstrap(): void {
    this.watching = this.watchForever(this.stopped.signal);
  }

  async onApplicationShutdown(): Promise<void> {
    this.stopped.abort();
    await this.watching;
    this.hub.close();
  }

  private async watchForever(signal: AbortSignal): Promise<void> {
    const backoff = new Backoff({ initialMs: 200, maxMs: 2_000, random: Math.random });
    while (!signal.aborted) {
      try {
        await this.watch(signal, backoff);
      } catch (error) {
        if (!signal.aborted) this.onFailure(error);
      } finally {
        this.metrics.hubConnected(false);
      }
      await delay(backoff.nextDelayMs(), signal).catch(() => undefined);
    }
  }

  private onFailure(error: unknown): void {
    if (this.hubIsAway) return;
    this.hubIsAway = true;
    this.logger.warn({ event: 'hub_lost', hub: this.hub.address, error: toPangalacticError(error).message });
  }

  private async watch(signal: AbortSignal, backoff: Backoff): Promise<void> {
    for await (const message of this.hub.watchRoutes({}, { signal })) {
      backoff.reset();
      this.hubIsAway = false;
      this.metrics.hubConnected(true);
      const table = RouteTable.fromMessage(message);
      this.directory.publish(table);
      this.logger.log({
        event: 'routes_changed',
        models: table.readyModels,
        pipelines: table.routes.map((route) => route.pipelineId),
      });
    }
  }
}
