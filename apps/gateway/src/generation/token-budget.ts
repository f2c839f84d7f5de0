import { PangalacticError } from '@pangalactic/contracts';

export interface PromptLength {
  readonly tokens: number;
  /** It may be more. */
  readonly atLeast?: boolean;
}

/** @throws PangalacticError `context_length_exceeded` when the prompt leaves no room for a single token */
export function requireRoom({ tokens, atLeast }: PromptLength, contextLength: number, field: string): void {
  if (tokens < contextLength) return;
  throw new PangalacticError(
    'context_length_exceeded',
    `This model's context holds ${contextLength} tokens, the completion included, but '${field}' resulted in ` +
      `${atLeast ? 'at least ' : ''}${tokens} tokens. Please reduce its length.`,
    { param: field },
  );
}

/**
 * Completion tokens that a sequence may have: what was asked for, or as many as the context still holds.
 * @param field the request field that made the prompt, for the error
 * @throws PangalacticError `context_length_exceeded` when the prompt leaves no room for a single one
 */
export function tokenBudget(
  promptTokens: number,
  contextLength: number,
  maxTokens: number | undefined,
  field: string,
): number {
  requireRoom({ tokens: promptTokens }, contextLength, field);
  const room = contextLength - promptTokens;
  return Math.min(maxTokens ?? room, room);
}
