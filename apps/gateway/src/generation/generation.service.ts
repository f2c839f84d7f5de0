import { Inject, Injectable, Logger } from '@nestjs/common';
import { GATEWAY_CONFIG } from '@pangalactic/config';
import type { GatewayConfig } from '@pangalactic/config';
import { toPangalacticError } from '@pangalactic/contracts';
import { Backoff } from '@pangalactic/transport';
import { delay, orAborted } from '../abort';
import { GatewayMetrics } from '../metrics/gateway-metrics';
import type { GenerationMeasurement } from '../metrics/generation-measurement';
import { HeadProbe } from '../models/head-probe';
import { ModelCache } from '../models/model-cache';
import { NodeClients } from '../models/node-clients';
import { ModelLoads } from '../routing/model-loads';
import { PipelineDispatcher } from '../routing/pipeline-dispatcher';
import type { RouteDemand } from '../routing/pipeline-dispatcher';
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
import { SlicedWork } from '../sliced-work';

const RETRY_DELAY = { initialMs: 100, maxMs: 1_000, random: Math.random };

/**
 * Runs completions: finds a pipeline and feeds its tokens through the sequence. When the pipeline fails, the sequence goes on
 * where it stopped on another one: the client sees a pause.
 */
@Injectable()
export class GenerationService {
  private readonly logger = new Logger(GenerationService.name);

  constructor(
    private readonly dispatcher: PipelineDispatcher,
    private readonly loads: ModelLoads,
    private readonly models: ModelCache,
    private readonly nodes: NodeClients,
    private readonly heads: HeadProbe,
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
    let admission = this.admit(spec, context, false);
    try {
      for (;;) {
        const { route, release } = await this.dispatcher.acquire(demand(spec, sequence, failures), admission.signal);
        try {
          sequence ??= await orAborted(this.sequence(spec, prompt, context.choiceIndex, route), admission.signal);
          yield* this.attempt(new Attempt(sequence, admission, measurement, route), route);
          return;
        } catch (error) {
          if (admission.signal.aborted) throw error;
          if (!this.mayRetry(error, route, admission, sequence, failures)) throw error;
        } finally {
          release();
        }
        if (admission.granted) {
          measurement.interrupted();
          backoff.reset();
          admission.close();
          admission = this.admit(spec, context, true);
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

  private admit({ model }: GenerationSpec, { signal, places }: ChoiceContext, resumes: boolean): Admission {
    const { queueTimeoutMs, resumeTimeoutMs } = this.config;
    return new Admission(signal, {
      ...{ modelId: model, places, resumes, load: () => this.loads.progressOf(model) },
      waitMs: resumes ? resumeTimeoutMs : queueTimeoutMs,
    });
  }

  private async *attempt(attempt: Attempt, route: PipelineRoute): AsyncGenerator<GenerationEvent, void, undefined> {
    const address = route.addresses[0];
    const { client, release } = this.nodes.borrow(address);
    try {
      yield* attempt.run(client, () => this.heads.answers(address));
    } finally {
      release();
    }
  }

  private mayRetry(
    thrown: unknown,
    { pipelineId, modelId }: PipelineRoute,
    { granted: accepted }: Admission,
    sequence: Sequence | undefined,
    failures: AttemptFailures,
  ): boolean {
    const error = toPangalacticError(thrown);
    const { completionTokens = 0, begun = false } = sequence ?? {};
    const retries = failures.mayRetryAfter(
      { pipelineId, error, accepted, completionTokens, begun },
      this.dispatcher.pipelinesOf(modelId),
    );
    const event = accepted ? 'generation_interrupted' : 'attempt_failed';
    if (retries) this.logger.warn({ event, pipelineId, completionTokens, code: error.code, error: error.message });
    return retries;
  }
}

function demand(spec: GenerationSpec, sequence: Sequence | undefined, failures: AttemptFailures): RouteDemand {
  return {
    modelId: spec.model,
    prefixes: spec.prefixes,
    fingerprint: sequence?.fingerprint,
    avoid: failures.failedPipelines,
    lost: failures.lostPipelines,
    resumedTokens: sequence?.begun ? sequence.promptTokens + sequence.completionTokens : undefined,
  };
}
