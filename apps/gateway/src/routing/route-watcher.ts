import { Inject, Injectable, Logger } from '@nestjs/common';
import type { OnApplicationBootstrap, OnApplicationShutdown } from '@nestjs/common';
import { formatAddress, GATEWAY_CONFIG } from '@pangalactic/config';
import type { GatewayConfig } from '@pangalactic/config';
import type { WatchRoutesResponse } from '@pangalactic/contracts';
import { PangalacticError, toPangalacticError } from '@pangalactic/contracts';
import { Backoff, HubClients } from '@pangalactic/transport';
import { delay } from '../abort';
import { GatewayMetrics } from '../metrics/gateway-metrics';
import { RouteDirectory } from './route-directory';
import { RouteTable } from './route-table';

/** A hub sends its table at once. */
const FIRST_TABLE_MS = 10_000;

/** Keeps the directory up to date from the hub's watch stream, for as long as the process runs. */
@Injectable()
export class RouteWatcher implements OnApplicationBootstrap, OnApplicationShutdown {
  private readonly logger = new Logger(RouteWatcher.name);
  private readonly stopped = new AbortController();
  private readonly hubs: HubClients;
  private watching: Promise<void> | undefined;
  /** So that an outage is one line in the log, however long it lasts. */
  private hubIsAway = false;

  constructor(
    private readonly directory: RouteDirectory,
    private readonly metrics: GatewayMetrics,
    @Inject(GATEWAY_CONFIG) config: GatewayConfig,
  ) {
    this.hubs = new HubClients(config.hubAddresses.map(formatAddress), { clusterToken: config.clusterToken });
  }

  onApplicationBootstrap(): void {
    this.watching = this.watchForever(this.stopped.signal);
  }

  async onApplicationShutdown(): Promise<void> {
    this.stopped.abort();
    await this.watching;
    this.hubs.close();
  }

  private async watchForever(signal: AbortSignal): Promise<void> {
    const backoff = new Backoff({ initialMs: 200, maxMs: 2_000, random: Math.random });
    while (!signal.aborted) {
      try {
        await this.watch(signal, backoff);
      } catch (error) {
        if (!signal.aborted) this.onFailure(error);
        this.hubs.failed();
      } finally {
        this.metrics.hubConnected(false);
      }
      await delay(backoff.nextDelayMs(), signal).catch(() => undefined);
    }
  }

  private onFailure(error: unknown): void {
    if (this.hubIsAway) return;
    this.hubIsAway = true;
    this.logger.warn({ event: 'hub_lost', hub: this.hubs.current.address, error: toPangalacticError(error).message });
  }

  private async watch(signal: AbortSignal, backoff: Backoff): Promise<void> {
    const stream = this.hubs.current.watchRoutes({}, { signal });
    const late = new PangalacticError('deadline_exceeded', 'the hub sent no routes');
    const timer = setTimeout(() => stream.cancel(late), FIRST_TABLE_MS);
    try {
      for await (const message of stream) {
        clearTimeout(timer);
        this.take(message, backoff);
      }
    } finally {
      clearTimeout(timer);
    }
  }

  private take(message: WatchRoutesResponse, backoff: Backoff): void {
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
