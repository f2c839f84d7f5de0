import type { SamplingSettings } from './sampling-settings';

export interface Likelihood {
  readonly id: number;
  readonly probability: number;
}

/** History that penalties depend on. */
export interface TokenHistory {
  readonly promptIds: readonly number[];
  readonly completionIds: readonly number[];
}

/**
 * What the sampler ought to draw from: logits are float32 as the engine's are, probabilities float64, every step goes over
 * all tokens, filters sort everything. Shares no code with the sampler.
 * @returns the tokens that may be drawn, in the order of their ids
 */
export function referenceDistribution(
  logits: readonly number[],
  settings: SamplingSettings,
  { promptIds, completionIds }: TokenHistory = { promptIds: [], completionIds: [] },
): Likelihood[] {
  const adjusted = logits.map((logit, id) => {
    let value = logit;
    for (const biased of settings.logitBias) if (biased.id === id) value = Math.fround(value + biased.bias);
    if (promptIds.includes(id) || completionIds.includes(id)) {
      value = Math.fround(value > 0 ? value / settings.repetitionPenalty : value * settings.repetitionPenalty);
    }
    const occurrences = completionIds.filter((other) => other === id).length;
    const presence = occurrences > 0 ? settings.presencePenalty : 0;
    return Math.fround(value - (settings.frequencyPenalty * occurrences + presence));
  });
  const ranked = adjusted.map((logit, id) => ({ id, logit })).sort((a, b) => b.logit - a.logit || a.id - b.id);
  const [first] = ranked;
  if (!first || settings.temperature === 0) return first ? [{ id: first.id, probability: 1 }] : [];

  let kept = normalised(
    ranked.map(({ id, logit }) => ({ id, probability: Math.exp((logit - first.logit) / settings.temperature) })),
  );
  const largest = kept[0]!.probability;
  kept = normalised(kept.filter(({ probability }) => probability >= settings.minP * largest));
  if (settings.topK > 0) kept = normalised(kept.slice(0, settings.topK));
  if (settings.topP < 1) {
    let mass = 0;
    kept = normalised(
      kept.filter(({ probability }) => {
        const isNeeded = mass < settings.topP;
        mass += probability;
        return isNeeded;
      }),
    );
  }
  return kept.sort((a, b) => a.id - b.id);
}

function normalised(tokens: readonly Likelihood[]): Likelihood[] {
  const total = tokens.reduce((sum, { probability }) => sum + probability, 0);
  return tokens.map(({ id, probability }) => ({ id, probability: probability / total }));
}
