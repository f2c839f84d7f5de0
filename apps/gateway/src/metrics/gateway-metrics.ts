import { Injectable } from '@nestjs/common';
import type { ErrorCode } from '@pangalactic/contracts';
import { createMetrics, GATEWAY_METRICS, readOnScrape } from '@pangalactic/observability';
import { GenerationMeasurement } from './generation-measurement';

@Injectable()
export class GatewayMetrics {
  readonly metrics = createMetrics(GATEWAY_METRICS);
  /** Generations by what they wait for; the gauges and their aliases read it. */
  readonly generations = { waiting: 0, running: 0 };

  constructor() {
    const { waiting, vllmWaiting, running, vllmRunning } = this.metrics;
    for (const metric of [waiting, vllmWaiting]) readOnScrape(metric, () => [[{}, this.generations.waiting]]);
    for (const metric of [running, vllmRunning]) readOnScrape(metric, () => [[{}, this.generations.running]]);
  }

  /** A generation has arrived and waits for a place. */
  begin(model: string): GenerationMeasurement {
    return new GenerationMeasurement(this, model);
  }

  /** A client was told. */
  failed(code: ErrorCode): void {
    this.metrics.errors.inc({ code });
  }

  hubConnected(connected: boolean): void {
    this.metrics.hubConnected.set(connected ? 1 : 0);
  }

  /** @param usage from 0 to 1, whenever somebody scrapes */
  observeKvCache(usage: () => number): void {
    const { kvCacheUsage, vllmKvCacheUsage } = this.metrics;
    for (const metric of [kvCacheUsage, vllmKvCacheUsage]) readOnScrape(metric, () => [[{}, usage()]]);
  }
}
