import type { CompletedChoice, CompletionPiece, FinishReasonName, Usage } from '../../generation/generation-event';

/** What all objects of one response share. */
export interface ResponseHeader {
  readonly id: string;
  /** Unix seconds. */
  readonly created: number;
  readonly model: string;
  /** Names the weights, so that a client can tell when they changed. */
  readonly systemFingerprint: string;
  /** Chunks then carry `usage`, null until the last one. */
  readonly includeUsage: boolean;
  /** Choices then carry log probabilities. */
  readonly logprobs: boolean;
}

/** How one endpoint words the same generation. */
export interface CompletionShape {
  readonly idPrefix: string;
  /** What the stream of a choice begins with, before any text. */
  opening(header: ResponseHeader, choiceIndex: number): object | undefined;
  pieceChunk(header: ResponseHeader, choiceIndex: number, piece: CompletionPiece): object;
  finishChunk(header: ResponseHeader, choiceIndex: number, reason: FinishReasonName): object;
  usageChunk(header: ResponseHeader, usage: Usage): object;
  /** @param choices in the order of their indexes */
  whole(header: ResponseHeader, choices: readonly CompletedChoice[], usage: Usage): object;
}

export function usageObject(usage: Usage): object {
  return {
    prompt_tokens: usage.promptTokens,
    completion_tokens: usage.completionTokens,
    total_tokens: usage.promptTokens + usage.completionTokens,
    prompt_tokens_details: { cached_tokens: usage.cachedTokens },
  };
}

/** The fields of every object, in OpenAI's order; `usage: null` only where the client asked for usage in the stream. */
export function envelope(header: ResponseHeader, object: string, choices: readonly object[]): object {
  return {
    id: header.id,
    object,
    created: header.created,
    model: header.model,
    system_fingerprint: header.systemFingerprint,
    choices,
  };
}

export function chunkEnvelope(header: ResponseHeader, object: string, choices: readonly object[]): object {
  return { ...envelope(header, object, choices), ...(header.includeUsage && { usage: null }) };
}
