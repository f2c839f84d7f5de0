import { type GenerateRequest, PangalacticError } from '@pangalactic/contracts';
import type { SequenceRequest } from '@pangalactic/inference';
import { requireSampling } from './sampling-limits';

export interface GenerateLimits {
  readonly vocabSize: number;
  readonly contextLength: number;
}

/** @throws PangalacticError `invalid_request`, `context_length_exceeded` */
export function sequenceRequest(request: GenerateRequest, limits: GenerateLimits): SequenceRequest {
  const { promptIds, emittedIds, maxTokens, sampling, seed, choiceIndex } = request;
  if (promptIds.length === 0) throw invalid('prompt_ids', 'is empty: allowed is one token or more');
  if (promptIds.length >= limits.contextLength) {
    throw new PangalacticError(
      'context_length_exceeded',
      `the prompt has ${promptIds.length} tokens: the context holds ${limits.contextLength}, one of them for the answer`,
      { param: 'prompt_ids' },
    );
  }
  if (promptIds.length + emittedIds.length > limits.contextLength) {
    throw invalid('emitted_ids', `has ${emittedIds.length} tokens, more than the context leaves after the prompt`);
  }
  requireVocabulary('prompt_ids', promptIds, limits.vocabSize);
  requireVocabulary('emitted_ids', emittedIds, limits.vocabSize);
  if (!sampling) throw invalid('sampling', 'is missing');
  requireSampling(sampling, limits.vocabSize);
  if (!Number.isSafeInteger(seed)) throw invalid('seed', `is ${seed}: allowed are integers below 2^53`);
  return { promptIds, emittedIds, maxTokens, sampling, seed, choiceIndex };
}

function requireVocabulary(field: string, ids: readonly number[], vocabSize: number): void {
  const foreign = ids.find((id) => id >= vocabSize);
  if (foreign !== undefined) throw invalid(field, `has token ${foreign}: allowed are 0 to ${vocabSize - 1}`);
}

function invalid(field: string, problem: string): PangalacticError {
  return new PangalacticError('invalid_request', `${field} ${problem}`, { param: field });
}
