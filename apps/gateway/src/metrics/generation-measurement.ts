import type { FinishReasonName } from '../generation/generation-event';
import type { GatewayMetrics } from './gateway-metrics';

/** The life of one generation on this process's monotonic clock. */
export class GenerationMeasurement {
  private readonly arrivedAt = performance.now();
  private lastTokenAt: number | undefined;
  private interruptedAt: number | undefined;
  private isAccepted = false;

  constructor(
    private readonly metrics: GatewayMetrics,
    private readonly model: string,
  ) {
    metrics.waiting.inc();
  }

  /** The model is routed, so its name may become a label from here on. */
  accepted(promptTokens: number): void {
    this.isAccepted = true;
    this.metrics.waiting.dec();
    this.metrics.running.inc();
    this.metrics.promptTokens.inc({ model: this.model }, promptTokens);
  }

  token(): void {
    const now = performance.now();
    const { model } = this;
    this.metrics.generationTokens.inc({ model });
    if (this.lastTokenAt === undefined) this.metrics.timeToFirstToken.observe({ model }, seconds(now - this.arrivedAt));
    else this.metrics.interTokenLatency.observe({ model }, seconds(now - this.lastTokenAt));
    this.lastTokenAt = now;
    if (this.interruptedAt === undefined) return;
    this.metrics.resumePause.observe({ model }, seconds(now - this.interruptedAt));
    this.interruptedAt = undefined;
  }

  /** The pipeline is lost. */
  interrupted(): void {
    this.interruptedAt ??= performance.now();
  }

  /** @returns milliseconds since the interruption */
  resumed(): number {
    const now = performance.now();
    this.metrics.resumes.inc({ model: this.model });
    return now - (this.interruptedAt ?? now);
  }

  finished(reason: FinishReasonName): void {
    this.metrics.success.inc({ model: this.model, finished_reason: reason });
  }

  /** Exactly once, however it ended. */
  end(): void {
    if (!this.isAccepted) return this.metrics.waiting.dec();
    this.metrics.running.dec();
    this.metrics.endToEndLatency.observe({ model: this.model }, seconds(performance.now() - this.arrivedAt));
  }
}

function seconds(milliseconds: number): number {
  return milliseconds / 1000;
}
