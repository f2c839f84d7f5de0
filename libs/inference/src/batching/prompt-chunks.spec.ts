import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { PREFILL_CHUNK_TOKENS, promptChunks } from './prompt-chunks';

describe('promptChunks', () => {
  it.each([
    [0, []],
    [1, [1]],
    [2, [2]],
    [128, [128]],
    [129, [127, 2]],
    [130, [128, 2]],
    [257, [128, 127, 2]],
    [300, [128, 128, 44]],
  ])('splits %i tokens', (tokens, chunks) => {
    expect(promptChunks(tokens)).toEqual(chunks);
  });

  it('covers any length in chunks of 2 to 128 tokens', () => {
    fc.assert(
      fc.property(fc.integer({ min: 2, max: 10_000 }), (tokens) => {
        const chunks = promptChunks(tokens);
        expect(chunks.reduce((sum, chunk) => sum + chunk, 0)).toBe(tokens);
        expect(chunks.every((chunk) => chunk >= 2 && chunk <= PREFILL_CHUNK_TOKENS)).toBe(true);
      }),
    );
  });
});
