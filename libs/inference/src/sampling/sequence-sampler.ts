import type { SampledToken } from '@pangalactic/contracts';
import type { SequenceStart } from '../inference-provider';
import { drawUniform } from './philox';
import { sampleToken } from './sample-token';
import type { SamplingBuffers } from './sampling-buffers';
import { samplingSettings, type SamplingSettings } from './sampling-settings';
import { TokenPenalties } from './token-penalties';
import { tokenLogprobs } from './token-logprobs';

/**
 * Chooses the tokens of one sequence at the tail. All its state derives from the sequence's start and from what it chose
 * since, so a sequence that is resumed elsewhere goes on as it would have here.
 *
 * The order is vLLM's: bias, penalties, temperature, min_p, top_k, top_p, draw. Log probabilities are those of the model,
 * before all of it, which is vLLM's default (`raw_logprobs`).
 */
export class SequenceSampler {
  private readonly settings: SamplingSettings;
  private readonly penalties: TokenPenalties | undefined;
  private completionIndex: number;

  constructor(
    private readonly start: SequenceStart,
    private readonly buffers: SamplingBuffers,
  ) {
    const { sampling, promptIds, emittedIds } = start;
    this.settings = samplingSettings(sampling);
    this.penalties = TokenPenalties.of(this.settings, promptIds, emittedIds);
    this.completionIndex = emittedIds.length;
  }

  /** @param logits of the sequence's next token, one per token of the vocabulary */
  next(logits: Float32Array): Pick<SampledToken, 'id' | 'logprobs'> {
    const { seed, choiceIndex } = this.start;
    const draw = drawUniform(seed, choiceIndex, this.completionIndex++);
    const id = sampleToken(this.adjust(logits), this.settings, draw, this.buffers);
    this.penalties?.add(id);
    const { topLogprobs } = this.settings;
    return topLogprobs === undefined ? { id } : { id, logprobs: tokenLogprobs(logits, id, topLogprobs) };
  }

  private adjust(logits: Float32Array): Float32Array {
    const { logitBias } = this.settings;
    if (logitBias.length === 0 && !this.penalties) return logits;
    const { adjusted } = this.buffers;
    adjusted.set(logits);
    for (const { id, bias } of logitBias) adjusted[id]! += bias;
    this.penalties?.apply(adjusted);
    return adjusted;
  }
}
