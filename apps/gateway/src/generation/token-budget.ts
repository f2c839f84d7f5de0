import { PangalacticError } from '@pangalactic/contracts';

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
  const room = contextLength - promptTokens;
  if (room < 1) {
    throw new PangalacticError(
      'context_length_exceeded',
      `This model's context holds ${contextLength} tokens, the completion included, but '${field}' resulted in ` +
        `${promptTokens} tokens. Please reduce its length.`,
      { param: field },
    );
  }
  return Math.min(maxTokens ?? room, room);
}
