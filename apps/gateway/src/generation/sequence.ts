import { randomUUID } from 'node:crypto';
import { FinishReason, PangalacticError } from '@pangalactic/contracts';
import type { Accepted, Finished, GeneratedToken, GenerateRequest } from '@pangalactic/contracts';
import type { LoadedModel } from '../models/loaded-model';
import type { PipelineRoute } from '../routing/route-table';
import { CompletionText } from './completion-text';
import type { MatchedPiece } from './completion-text';
import type { CompletionPiece, FinishReasonName, GenerationEvent } from './generation-event';
import type { GenerationSpec } from './generation-spec';
import { requireKnownBias } from './logit-bias';
import { promptField } from './prompt';
import { tokenBudget } from './token-budget';
import { Transcript } from './transcript';

/** The state of one choice. It belongs to the request, so it outlives the attempts to compute it. */
export class Sequence {
  private readonly transcript: Transcript;
  private readonly text: CompletionText;
  private accepted = false;
  private cachedTokens = 0;
  private budget: number | undefined;

  /** @throws PangalacticError `invalid_request` when the bias does not fit the model's vocabulary */
  constructor(
    private readonly spec: GenerationSpec,
    private readonly choiceIndex: number,
    model: LoadedModel,
    promptIds: readonly number[],
  ) {
    requireKnownBias(spec.sampling, model.tokenizer.vocabSize);
    this.transcript = new Transcript(model.fingerprint, promptIds);
    this.text = new CompletionText(model.tokenizer, spec.stop);
  }

  get fingerprint(): string {
    return this.transcript.fingerprint;
  }

  get promptTokens(): number {
    return this.transcript.promptIds.length;
  }

  get completionTokens(): number {
    return this.transcript.emittedIds.length;
  }

  /** An attempt was accepted: the client has been promised an answer. */
  get begun(): boolean {
    return this.accepted;
  }

  /**
   * The first pipeline that accepts it settles how long the completion may become: with more context it does not grow.
   * @throws PangalacticError `context_length_exceeded`
   */
  requestFor({ pipelineId, contextLength }: PipelineRoute): GenerateRequest {
    const { prompt, sampling, seed } = this.spec;
    const wanted = this.accepted ? this.budget : this.spec.maxTokens;
    const maxTokens = tokenBudget(this.promptTokens, contextLength, wanted, promptField(prompt));
    if (!this.accepted) this.budget = maxTokens;
    return {
      pipelineId,
      attemptId: randomUUID(),
      promptIds: [...this.transcript.promptIds],
      emittedIds: [...this.transcript.emittedIds],
      maxTokens,
      sampling,
      seed,
      choiceIndex: this.choiceIndex,
    };
  }

  /** @returns nothing when an earlier attempt was accepted already: the client learns of the first one only */
  onAccepted({ cachedTokens }: Accepted): GenerationEvent | undefined {
    // What counts is the attempt that computed the prompt for the first token; those after it only restore its work.
    if (this.completionTokens === 0) this.cachedTokens = cachedTokens;
    if (this.accepted) return undefined;
    this.accepted = true;
    return { kind: 'accepted', fingerprint: this.fingerprint };
  }

  /** @returns undefined for a token that is known already */
  onToken({ index, id, logprobs }: GeneratedToken): MatchedPiece | undefined {
    if (!this.accepted) throw new PangalacticError('invalid_frame', 'a token arrived before the sequence was accepted');
    return this.transcript.append(index, id) ? this.text.push(id, logprobs) : undefined;
  }

  onFinished({ reason, completionTokens }: Finished): GenerationEvent[] {
    if (completionTokens !== this.completionTokens) {
      throw new PangalacticError(
        'invalid_frame',
        `the head finished after ${completionTokens} tokens, but ${this.completionTokens} arrived`,
      );
    }
    const rest = this.text.finish();
    const finished = this.finished(!rest.stopped && reason === FinishReason.FINISH_REASON_LENGTH ? 'length' : 'stop');
    return [...pieceEvents(rest), finished];
  }

  finished(reason: FinishReasonName): GenerationEvent {
    const { promptTokens, completionTokens, cachedTokens } = this;
    return { kind: 'finished', reason, usage: { promptTokens, completionTokens, cachedTokens } };
  }
}

/** Nothing when there is nothing to show. */
export function pieceEvents({ text, tokens }: CompletionPiece): GenerationEvent[] {
  return text || tokens.length > 0 ? [{ kind: 'piece', text, tokens }] : [];
}
