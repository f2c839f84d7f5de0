import { Injectable } from '@nestjs/common';
import { ERROR_CATALOGUE, type ErrorCode } from '@pangalactic/contracts';
import { createMetrics, GATEWAY_METRICS, readOnScrape } from '@pangalactic/observability';
import { GenerationMeasurement } from './generation-measurement';

@Injectable()
export class GatewayMetrics {
  readonly metrics = createMetrics(GATEWAY_METRICS);
  /** Generations by what they wait for; the gauges and their aliases read it. */
  readonly generations = { waiting: 0, running: 0 };
  private readonly modelsServed = new Set<string>();

  constructor() {
    const { waiting, vllmWaiting, running, vllmRunning, errors } = this.metrics;
    // As for `expectResumes`.
    for (const code of Object.keys(ERROR_CATALOGUE)) errors.inc({ code }, 0);
    for (const metric of [waiting, vllmWaiting]) readOnScrape(metric, () => [[{}, this.generations.waiting]]);
    for (const metric of [running, vllmRunning]) readOnScrape(metric, () => [[{}, this.generations.running]]);
  }

  /** A generation has arrived and waits for a place. */
  begin(model: string): GenerationMeasurement {
    return new GenerationMeasurement(this, model);
  }

  /** What begins at 1 has no increase yet when an alert asks for it. */
  expectResumes(model: string): void {
    if (this.modelsServed.has(model)) return;
    this.modelsServed.add(model);
    this.metrics.resumes.inc({ model }, 0);
    this.metrics.resumePause.zero({ model });
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
