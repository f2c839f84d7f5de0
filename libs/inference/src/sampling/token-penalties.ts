import type { SamplingSettings } from './sampling-settings';

/**
 * Which tokens a sequence has used already, and what that costs them. Repetition counts prompt and completion, frequency
 * and presence the completion only, as in vLLM. Everything derives from the token ids, so a resumed sequence continues as
 * if it had never stopped.
 */
export class TokenPenalties {
  private readonly used: Set<number>;
  /** Occurrences in the completion. */
  private readonly counts = new Map<number, number>();

  constructor(
    private readonly settings: SamplingSettings,
    promptIds: readonly number[],
    emittedIds: readonly number[],
  ) {
    this.used = new Set(promptIds);
    for (const id of emittedIds) this.add(id);
  }

  /** Undefined when nothing is penalised: most sequences need no bookkeeping. */
  static of(
    settings: SamplingSettings,
    promptIds: readonly number[],
    emittedIds: readonly number[],
  ): TokenPenalties | undefined {
    const { repetitionPenalty, frequencyPenalty, presencePenalty } = settings;
    const neutral = repetitionPenalty === 1 && frequencyPenalty === 0 && presencePenalty === 0;
    return neutral ? undefined : new TokenPenalties(settings, promptIds, emittedIds);
  }

  /** A token joins the completion. */
  add(id: number): void {
    this.used.add(id);
    this.counts.set(id, (this.counts.get(id) ?? 0) + 1);
  }

  /** Changes the logits given. */
  apply(logits: Float32Array): void {
    const { repetitionPenalty, frequencyPenalty, presencePenalty } = this.settings;
    if (repetitionPenalty !== 1) {
      for (const id of this.used) {
        const logit = logits[id]!;
        logits[id] = logit > 0 ? logit / repetitionPenalty : logit * repetitionPenalty;
      }
    }
    if (frequencyPenalty === 0 && presencePenalty === 0) return;
    for (const [id, count] of this.counts) logits[id]! -= frequencyPenalty * count + presencePenalty;
  }
}
