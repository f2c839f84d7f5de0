import { describe, expect, it } from 'vitest';
import { splitRow } from './split-row';

const row = { slot: 2, generation: 3, start: 10, count: 70, sample: true };

describe('splitRow', () => {
  it.each([
    [128, [[10, 70, true]]],
    [70, [[10, 70, true]]],
    [
      31,
      [
        [10, 31, false],
        [41, 31, false],
        [72, 8, true],
      ],
    ],
  ])('of 70 tokens in at most %i is %j', (maxTokens, parts) => {
    expect(splitRow(row, maxTokens)).toEqual(parts.map(([start, count, sample]) => ({ ...row, start, count, sample })));
  });

  it('samples nothing where the row does not', () => {
    const parts = splitRow({ ...row, sample: false }, 40);
    expect(parts.map(({ sample }) => sample)).toEqual([false, false]);
  });
});
