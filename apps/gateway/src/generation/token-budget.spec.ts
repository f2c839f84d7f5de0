import { describe, expect, it } from 'vitest';
import { tokenBudget } from './token-budget';

describe('tokenBudget', () => {
  it.each([
    ['fits', 10, 100, 20, 20],
    ['is cut to the context', 90, 100, 20, 10],
    ['is all that is left when nothing was asked for', 90, 100, undefined, 10],
    ['is one token at least', 99, 100, undefined, 1],
  ])('%s', (_name, prompt, context, asked, expected) => {
    expect(tokenBudget(prompt, context, asked, 'messages')).toBe(expected);
  });

  it.each([100, 250])('refuses a prompt of %i tokens in a context of 100, with both numbers', (prompt) => {
    expect(() => tokenBudget(prompt, 100, 1, 'prompt')).toThrow(
      expect.objectContaining({
        code: 'context_length_exceeded',
        param: 'prompt',
        message: expect.stringMatching(new RegExp(`holds 100 tokens.* resulted in ${prompt} tokens`)) as string,
      }),
    );
  });
});
