import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeGroups, nextDecodeGroup } from './decode-groups';

describe('decodeGroups', () => {
  it.each([
    [8, 2, [4, 4]],
    [7, 2, [3, 4]],
    [8, 3, [2, 3, 3]],
    [2, 3, [1, 1]],
    [5, 1, [5]],
    [0, 2, []],
  ])('cuts %i sequences into %i micro-batches', (count, microBatches, sizes) => {
    const sequences = Array.from({ length: count }, (_, slot) => slot);
    const groups = decodeGroups(sequences, microBatches);
    expect(groups.map((group) => group.length)).toEqual(sizes);
    expect(groups.flat()).toEqual(sequences);
  });

  it('makes groups that differ by one sequence at most', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 100 }), fc.integer({ min: 1, max: 12 }), (count, microBatches) => {
        const sizes = decodeGroups(Array(count).fill(0), microBatches).map((group) => group.length);
        expect(Math.max(...sizes) - Math.min(...sizes)).toBeLessThanOrEqual(1);
      }),
    );
  });
});

describe('nextDecodeGroup', () => {
  const sequence = (slot: number, readySince: number | undefined) => ({
    slot,
    isReadyToDecode: readySince !== undefined,
    readySince: readySince ?? 0,
  });

  it('takes whole groups only, the one that waits longest first', () => {
    const late = [sequence(3, 8), sequence(2, 7)];
    const early = [sequence(1, 4), sequence(0, 9)];
    const waiting = [sequence(4, 1), sequence(5, undefined)];
    const slots = (all: typeof late, microBatches: number) =>
      nextDecodeGroup(all, microBatches)?.map(({ slot }) => slot);
    expect(slots([...late, ...early, ...waiting], 3)).toEqual([0, 1]);
    expect(slots([...late, ...waiting], 2)).toEqual([2, 3]);
    expect(slots(waiting, 1)).toBeUndefined();
    expect(slots([], 2)).toBeUndefined();
  });
});
