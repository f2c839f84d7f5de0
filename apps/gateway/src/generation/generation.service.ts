import { Inject, Injectable, Logger } from '@nestjs/common';
import { GATEWAY_CONFIG } from '@pangalactic/config';
import type { GatewayConfig } from '@pangalactic/config';
import { toPangalacticError } from '@pangalactic/contracts';
import { Backoff } from '@pangalactic/transport';
import { delay, orAborted } from '../abort';
import { GatewayMetrics } from '../metrics/gateway-metrics';
import type { GenerationMeasurement } from '../metrics/generation-measurement';
import { ModelCache } from '../models/model-cache';
import { NodeClients } from '../models/node-clients';
import { PipelineDispatcher } from '../routing/pipeline-dispatcher';
import type { PipelineRoute } from '../routing/route-table';
import { Admission } from './admission';
import { Attempt } from './attempt';
import { AttemptFailures } from './attempt-failures';
import type { GenerationEvent } from './generation-event';
import type { GenerationSpec } from './generation-spec';
import { Sequence } from './sequence';

const RETRY_DELAY = { initialMs: 100, maxMs: 1_000, random: Math.random };

/** Runs completions: finds a pipeline, feeds its tokens through the sequence, and tries again when a pipeline fails. */
@Injectable()
export class GenerationService {
  private readonly logger = new Logger(GenerationService.name);

  constructor(
    private readonly dispatcher: PipelineDispatcher,
    private readonly models: ModelCache,
    private readonly nodes: NodeClients,
    private readonly metrics: GatewayMetrics,
    @Inject(GATEWAY_CONFIG) private readonly config: GatewayConfig,
  ) {}

  /**
   * Tokens are pulled from the head only as fast as events are pulled from here. Leaving the iteration early, or
   * aborting, cancels the sequence.
   * @param client aborts when the client is gone
   */
  async *generate(spec: GenerationSpec, client: AbortSignal): AsyncGenerator<GenerationEvent, void, undefined> {
    const measurement = this.metrics.begin(spec.model);
    try {
      yield* this.attempts(spec, client, measurement);
    } finally {
      measurement.end();
    }
  }

  private async *attempts(
    spec: GenerationSpec,
    client: AbortSignal,
    measurement: GenerationMeasurement,
  ): AsyncGenerator<GenerationEvent, void, undefined> {
    const failures = new AttemptFailures();
    const backoff = new Backoff(RETRY_DELAY);
    let sequence: Sequence | undefined;
    let admission = this.admit(spec, client);
    try {
      for (;;) {
        const { fingerprint } = sequence ?? {};
        const demand = { modelId: spec.model, fingerprint, avoid: failures.failedPipelines };
        const { route, release } = await this.dispatcher.acquire(demand, admission.signal);
        try {
          sequence ??= new Sequence(spec, await orAborted(this.models.get(route), admission.signal));
          yield* this.attempt(new Attempt(sequence, admission, measurement), route);
          return;
        } catch (error) {
          // Resuming a sequence that has tokens already would begin here.
          if (admission.signal.aborted || sequence?.completionTokens) throw error;
          if (!this.mayRetry(error, route, admission, failures)) throw error;
        } finally {
          release();
        }
        if (admission.granted) {
          admission.close();
          admission = this.admit(spec, client);
        }
        await delay(backoff.nextDelayMs(), admission.signal);
      }
    } finally {
      admission.close();
    }
  }

  private admit(spec: GenerationSpec, client: AbortSignal): Admission {
    return new Admission(client, this.config.queueTimeoutMs, spec.model);
  }

  private async *attempt(attempt: Attempt, route: PipelineRoute): AsyncGenerator<GenerationEvent, void, undefined> {
    const { client, release } = this.nodes.borrow(route.addresses[0]);
    try {
      yield* attempt.run(client, route);
    } finally {
      release();
    }
  }

  private mayRetry(thrown: unknown, route: PipelineRoute, admission: Admission, failures: AttemptFailures): boolean {
    const { pipelineId, modelId } = route;
    const error = toPangalacticError(thrown);
    const retries = failures.mayRetryAfter(
      { pipelineId, error, accepted: admission.granted },
      this.dispatcher.pipelinesOf(modelId),
    );
    if (retries) this.logger.warn({ event: 'attempt_failed', pipelineId, code: error.code, error: error.message });
    return retries;
  }
}
