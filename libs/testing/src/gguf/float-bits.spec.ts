import { halfToFloat } from '@pangalactic/models';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { floatToBfloat16, floatToHalf } from './float-bits';

describe('floatToHalf', () => {
  it.each([
    ['a tie to even, down', 1 + 2 ** -11, 0x3c00],
    ['a tie to even, up', 1 + 3 * 2 ** -11, 0x3c02],
    ['just above a tie', Math.fround(1 + 2 ** -11 + 2 ** -20), 0x3c01],
    ['a carry into the exponent', 2 - 2 ** -12, 0x4000],
    ['the largest that is no infinity', 65_519, 0x7bff],
    ['the smallest infinity', 65_520, 0x7c00],
    ['far too large', -1e30, 0xfc00],
    ['subnormal', 3 * 2 ** -24, 0x0003],
    ['the largest subnormal rounding up', 2 ** -14 - 2 ** -26, 0x0400],
    ['half of the smallest, a tie to 0', 2 ** -25, 0x0000],
    ['above half of the smallest', 1.5 * 2 ** -25, 0x0001],
    ['below that', 2 ** -26, 0x0000],
    ['negative zero', -0, 0x8000],
    ['infinity', Infinity, 0x7c00],
    ['NaN', NaN, 0x7e00],
  ])('rounds %s', (_name, value, bits) => {
    expect(floatToHalf(value)).toBe(bits);
  });

  it('finds the nearest of all halves', () => {
    fc.assert(
      fc.property(fc.float({ min: -65_504, max: 65_504, noNaN: true }), (value) => {
        const bits = floatToHalf(value);
        const error = Math.abs(halfToFloat(bits) - value);
        for (const neighbour of [bits - 1, bits + 1]) {
          const other = Math.abs(halfToFloat(neighbour) - value);
          if (Number.isFinite(other)) expect(error).toBeLessThanOrEqual(other);
        }
      }),
      { numRuns: 2000 },
    );
  });
});

describe('floatToBfloat16', () => {
  it.each([
    ['what fits', -1.5, 0xbfc0],
    ['a tie to even, down', 1 + 2 ** -8, 0x3f80],
    ['a tie to even, up', 1 + 3 * 2 ** -8, 0x3f82],
    ['a carry into the exponent', 2 - 2 ** -10, 0x4000],
    ['negative zero', -0, 0x8000],
  ])('rounds %s', (_name, value, bits) => {
    expect(floatToBfloat16(value)).toBe(bits);
  });
});
