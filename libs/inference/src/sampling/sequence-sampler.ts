import { PangalacticError, type SampledToken } from '@pangalactic/contracts';
import type { SequenceStart } from '../inference-provider';
import { argmax } from './argmax';
import { drawUniform } from './philox';
import { sampleToken } from './sample-token';
import type { SamplingBuffers } from './sampling-buffers';
import { samplingSettings, type SamplingSettings } from './sampling-settings';
import type { Softmax } from './softmax';
import { TokenPenalties } from './token-penalties';
import { tokenLogprobs } from './token-logprobs';

/** Below it nothing but the most likely token is ever drawn, and its inverse overflows: greedy, as in vLLM. */
const LOWEST_TEMPERATURE = 1e-5;

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
    private readonly softmax: Softmax,
  ) {
    const { sampling, promptIds, emittedIds } = start;
    this.settings = samplingSettings(sampling);
    this.penalties = TokenPenalties.of(this.settings, promptIds, emittedIds);
    this.completionIndex = emittedIds.length;
  }

  /**
   * @param logits of the sequence's next token, one per token of the vocabulary
   * @throws PangalacticError `internal_error` when the model computed no number: any token would be a wrong one
   */
  async next(logits: Float32Array): Promise<Pick<SampledToken, 'id' | 'logprobs'>> {
    const id = await this.choose(this.adjust(logits));
    if (!Number.isFinite(logits[id])) {
      throw new PangalacticError(
        'internal_error',
        `the logit of token ${id} is ${logits[id]}: the model has overflowed`,
      );
    }
    this.completionIndex++;
    this.penalties?.add(id);
    const { topLogprobs } = this.settings;
    if (topLogprobs === undefined) return { id };
    return { id, logprobs: tokenLogprobs(logits, await this.softmax(logits, 1), id, topLogprobs) };
  }

  private async choose(logits: Float32Array): Promise<number> {
    const { temperature } = this.settings;
    if (temperature < LOWEST_TEMPERATURE) return argmax(logits);
    const { seed, choiceIndex } = this.start;
    const draw = drawUniform(seed, choiceIndex, this.completionIndex);
    return sampleToken(await this.softmax(logits, temperature), this.settings, draw, this.buffers.candidates);
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
