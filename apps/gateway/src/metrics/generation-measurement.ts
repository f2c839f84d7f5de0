import type { FinishReasonName } from '../generation/generation-event';
import type { GatewayMetrics } from './gateway-metrics';

/** The life of one generation on this process's monotonic clock. */
export class GenerationMeasurement {
  private readonly arrivedAt = performance.now();
  private lastTokenAt: number | undefined;
  private interruptedAt: number | undefined;
  private isAccepted = false;
  private tokens = 0;

  constructor(
    private readonly owner: GatewayMetrics,
    private readonly model: string,
  ) {
    owner.generations.waiting += 1;
  }

  /** The model is routed, so its name may become a label from here on. */
  accepted(promptTokens: number): void {
    const { model } = this;
    const { queueTime, promptTokens: total, promptLength } = this.owner.metrics;
    this.isAccepted = true;
    this.owner.generations.waiting -= 1;
    this.owner.generations.running += 1;
    queueTime.observe({ model }, seconds(performance.now() - this.arrivedAt));
    total.inc({ model }, promptTokens);
    promptLength.observe({ model }, promptTokens);
    this.owner.expectResumes(model);
  }

  /** An attempt was given a slot, the first one or a later one: both look for what is computed already. */
  prefixLookedUp(promptTokens: number, cachedTokens: number): void {
    const { model } = this;
    this.owner.metrics.prefixCacheQueries.inc({ model }, promptTokens);
    this.owner.metrics.prefixCacheHits.inc({ model }, cachedTokens);
  }

  token(): void {
    const now = performance.now();
    const { model } = this;
    const { generationTokens, timeToFirstToken, interTokenLatency, resumePause } = this.owner.metrics;
    this.tokens += 1;
    generationTokens.inc({ model });
    if (this.lastTokenAt === undefined) timeToFirstToken.observe({ model }, seconds(now - this.arrivedAt));
    else interTokenLatency.observe({ model }, seconds(now - this.lastTokenAt));
    this.lastTokenAt = now;
    if (this.interruptedAt === undefined) return;
    resumePause.observe({ model }, seconds(now - this.interruptedAt));
    this.interruptedAt = undefined;
  }

  /** The pipeline is lost. */
  interrupted(): void {
    this.interruptedAt ??= performance.now();
  }

  /** @returns milliseconds since the interruption */
  resumed(): number {
    const now = performance.now();
    this.owner.metrics.resumes.inc({ model: this.model });
    return now - (this.interruptedAt ?? now);
  }

  finished(reason: FinishReasonName): void {
    const { model } = this;
    this.owner.metrics.success.inc({ model, finished_reason: reason });
    this.owner.metrics.generationLength.observe({ model }, this.tokens);
  }

  /** Exactly once, however it ended. */
  end(): void {
    if (!this.isAccepted) {
      this.owner.generations.waiting -= 1;
      return;
    }
    this.owner.generations.running -= 1;
    this.owner.metrics.endToEndLatency.observe({ model: this.model }, seconds(performance.now() - this.arrivedAt));
  }
}

function seconds(milliseconds: number): number {
  return milliseconds / 1000;
}
