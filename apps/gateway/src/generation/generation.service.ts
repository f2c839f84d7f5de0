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
import { runChoices } from './choices';
import type { ChoiceContext } from './choices';
import { EncodedPrompt } from './encoded-prompt';
import type { ChoiceEvent, GenerationEvent } from './generation-event';
import type { GenerationSpec } from './generation-spec';
import { Sequence } from './sequence';
import { SlicedWork } from './sliced-work';

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
    private readonly work: SlicedWork,
    @Inject(GATEWAY_CONFIG) private readonly config: GatewayConfig,
  ) {}

  /**
   * Tokens are pulled from the heads only as fast as events are pulled from here. Leaving the iteration early, or
   * aborting, cancels all sequences of the request.
   * @param client aborts when the client is gone
   */
  generate(spec: GenerationSpec, client: AbortSignal): AsyncGenerator<ChoiceEvent, void, undefined> {
    const prompt = new EncodedPrompt(spec.prompt, this.work, client);
    return runChoices(spec.choices, client, (context) => this.choice(spec, prompt, context));
  }

  private async *choice(
    spec: GenerationSpec,
    prompt: EncodedPrompt,
    context: ChoiceContext,
  ): AsyncGenerator<GenerationEvent, void, undefined> {
    const measurement = this.metrics.begin(spec.model);
    try {
      yield* this.attempts(spec, prompt, context, measurement);
    } finally {
      measurement.end();
    }
  }

  private async *attempts(
    spec: GenerationSpec,
    prompt: EncodedPrompt,
    context: ChoiceContext,
    measurement: GenerationMeasurement,
  ): AsyncGenerator<GenerationEvent, void, undefined> {
    const failures = new AttemptFailures();
    const backoff = new Backoff(RETRY_DELAY);
    let sequence: Sequence | undefined;
    let admission = this.admit(spec, context);
    try {
      for (;;) {
        const { fingerprint } = sequence ?? {};
        const demand = { modelId: spec.model, fingerprint, avoid: failures.failedPipelines };
        const { route, release } = await this.dispatcher.acquire(demand, admission.signal);
        try {
          sequence ??= await orAborted(this.sequence(spec, prompt, context.choiceIndex, route), admission.signal);
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
          admission = this.admit(spec, context);
        }
        await delay(backoff.nextDelayMs(), admission.signal);
      }
    } finally {
      admission.close();
    }
  }

  private async sequence(spec: GenerationSpec, prompt: EncodedPrompt, choiceIndex: number, route: PipelineRoute) {
    const model = await this.models.get(route);
    return new Sequence(spec, choiceIndex, model, await prompt.of(model, route.contextLength));
  }

  private admit(spec: GenerationSpec, { signal, places }: ChoiceContext): Admission {
    return new Admission(signal, this.config.queueTimeoutMs, spec.model, places);
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
