import type { BiasedToken, Sampling } from '@pangalactic/contracts';

/** A Sampling message with what its absent fields mean filled in; see the message for each. */
export interface SamplingSettings {
  readonly temperature: number;
  readonly topP: number;
  readonly topK: number;
  readonly minP: number;
  readonly repetitionPenalty: number;
  readonly frequencyPenalty: number;
  readonly presencePenalty: number;
  readonly logitBias: readonly BiasedToken[];
  /** Undefined when no log probabilities are wanted. */
  readonly topLogprobs: number | undefined;
}

export function samplingSettings(sampling: Sampling): SamplingSettings {
  return {
    temperature: sampling.temperature,
    topP: sampling.topP,
    topK: sampling.topK ?? 0,
    minP: sampling.minP ?? 0,
    repetitionPenalty: sampling.repetitionPenalty ?? 1,
    frequencyPenalty: sampling.frequencyPenalty ?? 0,
    presencePenalty: sampling.presencePenalty ?? 0,
    logitBias: sampling.logitBias?.tokens ?? [],
    topLogprobs: sampling.topLogprobs,
  };
}
