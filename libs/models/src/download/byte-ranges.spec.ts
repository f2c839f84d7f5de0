import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { addRange, type ByteRange, type ByteRanges, coveredBytes, cutIntoPieces, missingRanges } from './byte-ranges';

const SIZE = 60;
const anyRange = fc.tuple(fc.nat(SIZE), fc.nat(SIZE)).map(([a, b]) => ({ from: Math.min(a, b), to: Math.max(a, b) }));
const anyRanges = fc.array(anyRange, { maxLength: 12 });
const union = (ranges: readonly ByteRange[]) => ranges.reduce<ByteRanges>(addRange, []);
const positions = (ranges: readonly ByteRange[]) =>
  new Set(ranges.flatMap(({ from, to }) => Array.from({ length: to - from }, (_, index) => from + index)));

describe('byte ranges', () => {
  it('hold what was added, in order and as few as possible', () => {
    fc.assert(
      fc.property(anyRanges, (added) => {
        const ranges = union(added);
        expect(positions(ranges)).toEqual(positions(added));
        expect(coveredBytes(ranges)).toBe(positions(added).size);
        for (const [index, { from, to }] of ranges.entries()) {
          expect(from).toBeLessThan(to);
          if (index > 0) expect(ranges[index - 1]!.to).toBeLessThan(from);
        }
      }),
    );
  });

  it('and what is missing make the whole file', () => {
    fc.assert(
      fc.property(anyRanges, (added) => {
        const missing = missingRanges(union(added), SIZE);
        expect(union([...added, ...missing])).toEqual([{ from: 0, to: SIZE }]);
        expect(coveredBytes(missing) + positions(added).size).toBe(SIZE);
      }),
    );
  });

  it('come in pieces that fit together', () => {
    fc.assert(
      fc.property(anyRanges, fc.integer({ min: 1, max: 20 }), (added, bytes) => {
        const pieces = cutIntoPieces(union(added), bytes);
        expect(pieces.every(({ from, to }) => from < to && to - from <= bytes)).toBe(true);
        expect(coveredBytes(pieces)).toBe(coveredBytes(union(added)));
        expect(union(pieces)).toEqual(union(added));
      }),
    );
  });
});
