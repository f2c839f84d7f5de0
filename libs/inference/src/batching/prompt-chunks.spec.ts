import { PREFILL_CHUNK_TOKENS } from '@pangalactic/scheduler';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { chunkSize, largestChunk } from './prompt-chunks';

function split(tokens: number, largest: number): number[] {
  const chunks: number[] = [];
  for (let left = tokens; left > 0; left -= chunks.at(-1) ?? left) chunks.push(chunkSize(left, largest));
  return chunks;
}

describe('chunkSize', () => {
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
    expect(split(tokens, 128)).toEqual(chunks);
  });

  it('covers any length in chunks of 2 tokens or more', () => {
    fc.assert(
      fc.property(fc.integer({ min: 2, max: 5_000 }), fc.integer({ min: 3, max: 128 }), (tokens, largest) => {
        const chunks = split(tokens, largest);
        expect(chunks.reduce((sum, chunk) => sum + chunk, 0)).toBe(tokens);
        expect(chunks.every((chunk) => chunk >= 2 && chunk <= largest)).toBe(true);
      }),
    );
  });
});

describe('largestChunk', () => {
  it('grows when nobody waits behind it', () => {
    expect(largestChunk(true)).toBeLessThan(largestChunk(false));
    expect(largestChunk(false)).toBe(PREFILL_CHUNK_TOKENS);
  });
});
