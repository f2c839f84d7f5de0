import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { takeHeaviest } from './take-heaviest';

/** Few distinct weights, so that ties are common. */
const weightsArbitrary = fc
  .array(fc.oneof(fc.integer({ min: 1, max: 8 }), fc.double({ min: 1e-6, max: 10, noNaN: true })), {
    minLength: 1,
    maxLength: 400,
    size: 'max',
  })
  .map((values) => Float32Array.from(values));

const sortedIds = (weights: Float32Array) =>
  Array.from(weights.keys()).sort((a, b) => weights[b]! - weights[a]! || a - b);

describe('takeHeaviest', () => {
  it('takes as many as a sort would, the lightest of them last', () => {
    fc.assert(
      fc.property(weightsArbitrary, fc.nat({ max: 420 }), fc.integer(), (weights, wanted, rotation) => {
        const ids = Uint32Array.from(weights.keys(), (id) => (id + (rotation >>> 0)) % weights.length);
        const taken = takeHeaviest(ids, ids.length, weights, wanted, () => 1);
        const expected = sortedIds(weights).slice(0, Math.max(1, wanted));
        expect(taken).toBe(expected.length);
        expect(ids[taken - 1]).toBe(expected.at(-1));
        expect([...ids.subarray(0, taken)].sort((a, b) => a - b)).toEqual(expected.sort((a, b) => a - b));
        expect(new Set(ids).size).toBe(weights.length);
      }),
    );
  });

  it('takes as few as reach a mass', () => {
    fc.assert(
      fc.property(
        weightsArbitrary.map((weights) => weights.map(Math.ceil)),
        fc.integer({ min: 1 }),
        (weights, seed) => {
          // Whole numbers add up the same in any order.
          const target = 1 + (seed % weights.reduce((sum, weight) => sum + weight, 0));
          const ids = Uint32Array.from(weights.keys());
          const taken = takeHeaviest(ids, ids.length, weights, target, (id) => weights[id]!);
          let mass = 0;
          const expected = sortedIds(weights).filter((id) => {
            const isNeeded = mass < target;
            mass += weights[id]!;
            return isNeeded;
          });
          expect(ids[taken - 1]).toBe(expected.at(-1));
          expect([...ids.subarray(0, taken)].sort((a, b) => a - b)).toEqual(expected.sort((a, b) => a - b));
        },
      ),
    );
  });

  it('leaves ids beyond the count alone', () => {
    const ids = Uint32Array.of(0, 1, 2, 3);
    expect(takeHeaviest(ids, 2, Float32Array.of(1, 2, 9, 8), 1, () => 1)).toBe(1);
    expect([...ids]).toEqual([1, 0, 2, 3]);
  });
});
