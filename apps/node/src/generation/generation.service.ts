import { Inject, Injectable } from '@nestjs/common';
import { FinishReason, type GenerateRequest, type GenerateResponse, PangalacticError } from '@pangalactic/contracts';
import { completionLimit } from '@pangalactic/inference';
import { DrainCoordinator } from '@pangalactic/lifecycle';
import { NodeMetrics } from '../metrics/node-metrics';
import type { PipelineHead } from '../pipeline/pipeline-head';
import { PipelineRegistry } from '../pipeline/pipeline-registry.service';
import { sequenceRequest, type GenerateLimits } from './generate-request';
import { Generation, READER_LIMITS, type ReaderLimits } from './generation';

@Injectable()
export class GenerationService {
  constructor(
    private readonly pipelines: PipelineRegistry,
    private readonly drain: DrainCoordinator,
    private readonly metrics: NodeMetrics,
    @Inject(READER_LIMITS) private readonly readerLimits: ReaderLimits,
  ) {}

  /**
   * @param signal the call has ended
   * @param endCall ends the call of a reader that does not read any more
   */
  async *generate(
    request: GenerateRequest,
    signal: AbortSignal,
    endCall: (reason: PangalacticError) => void,
  ): AsyncGenerator<GenerateResponse> {
    if (this.drain.state !== 'SERVING') {
      throw new PangalacticError('service_unavailable', 'the node is shutting down', { retryAfterSeconds: 1 });
    }
    const { head, limits } = this.target(request.pipelineId);
    const sequence = sequenceRequest(request, limits);
    const limit = completionLimit(sequence, limits.contextLength);
    if (sequence.emittedIds.length >= limit) {
      yield* alreadyComplete(sequence.promptIds.length, limit);
      return;
    }

    const generation = new Generation(head, sequence, this.readerLimits, endCall);
    const endWork = this.drain.begin();
    const stop = () => generation.stop();
    signal.addEventListener('abort', stop, { once: true });
    try {
      for await (const response of generation.responses()) {
        const { accepted, token } = response;
        if (accepted) this.metrics.accepted(accepted.promptTokens, accepted.cachedTokens);
        if (token) this.metrics.generatedToken();
        yield response;
      }
    } finally {
      stop();
      endWork();
    }
  }

  private target(pipelineId: string): { head: PipelineHead; limits: GenerateLimits } {
    const pipeline = this.pipelines.require(pipelineId);
    const { refusal, head, model, assignment } = pipeline;
    if (!assignment.isHead) {
      throw new PangalacticError('pipeline_not_found', `this node is not the head of pipeline ${pipelineId}`);
    }
    if (refusal) throw refusal;
    if (!head || !model) throw new PangalacticError('model_not_ready', `pipeline ${pipelineId} is still loading`);
    return { head, limits: { vocabSize: model.vocabSize, contextLength: assignment.spec.contextLength } };
  }
}

/** A resumed completion whose last attempt emitted everything but its end. */
function* alreadyComplete(promptTokens: number, completionTokens: number): Generator<GenerateResponse, void> {
  yield { accepted: { promptTokens, cachedTokens: 0 } };
  yield { finished: { reason: FinishReason.FINISH_REASON_LENGTH, completionTokens } };
}
