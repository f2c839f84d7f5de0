import { describe, expect, it } from 'vitest';
import { drawUniform, philox4x32 } from './philox';

describe('philox4x32', () => {
  // Known answers of Random123 1.14 (kat_vectors).
  it.each([
    { counter: [0, 0, 0, 0], key: [0, 0], output: [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8] },
    {
      counter: [0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff],
      key: [0xffffffff, 0xffffffff],
      output: [0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd],
    },
    {
      counter: [0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344],
      key: [0xa4093822, 0x299f31d0],
      output: [0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1],
    },
  ])('gives the published answer for $counter', ({ counter, key, output }) => {
    expect(philox4x32(counter as [number, number, number, number], key as [number, number])).toEqual(output);
  });
});

describe('drawUniform', () => {
  it('depends on seed, choice and completion index, and stays in [0, 1)', () => {
    const draws = [
      drawUniform(1, 0, 0),
      drawUniform(2, 0, 0),
      drawUniform(1, 1, 0),
      drawUniform(1, 0, 1),
      drawUniform(2 ** 40 + 1, 0, 0),
    ];
    expect(new Set(draws).size).toBe(draws.length);
    for (const draw of draws) expect(draw >= 0 && draw < 1).toBe(true);
    expect(drawUniform(7, 0, 3)).toBe(drawUniform(7, 0, 3));
  });

  it('is uniform: chi-squared over 16 bins of 16,000 draws is below the 99.9 % quantile', () => {
    const bins = new Array<number>(16).fill(0);
    for (let index = 0; index < 16_000; index++) bins[Math.floor(drawUniform(42, 0, index) * 16)]!++;
    const chiSquared = bins.reduce((total, count) => total + (count - 1000) ** 2 / 1000, 0);
    expect(chiSquared).toBeLessThan(37.7);
  });
});
