import { join } from 'node:path';
import { repositoryRoot } from '@pangalactic/contracts';
import { dequantizeRows, GgmlType, GgufFile, halfToFloat } from '@pangalactic/models';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { encodeTensor, floatToHalf } from './encode-tensor';

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

describe('encodeTensor', () => {
  it.each([
    ['pangalactic-nano.gguf', GgmlType.Q8_0],
    ['pangalactic-nano-q4_0.gguf', GgmlType.Q4_0],
  ])('quantises byte for byte like the tool that made %s', async (name, type) => {
    const exact = await GgufFile.open(join(repositoryRoot(), 'models', 'pangalactic-nano-f16.gguf'));
    const quantised = await GgufFile.open(join(repositoryRoot(), 'models', name));
    let compared = 0;
    for (const tensor of quantised.header.tensors.values()) {
      if (tensor.type !== type) continue;
      const [columns, rows] = tensor.shape as [number, number];
      const values = new Float32Array(columns * rows);
      dequantizeRows(GgmlType.F16, await exact.readTensor(tensor.name), columns, [...Array(rows).keys()], values);
      expect((await quantised.readTensor(tensor.name)).equals(encodeTensor(type, values))).toBe(true);
      compared += 1;
    }
    expect(compared).toBeGreaterThanOrEqual(56);
    await Promise.all([exact.close(), quantised.close()]);
  });

  it('writes a block of zeros', () => {
    expect([...encodeTensor(GgmlType.Q8_0, new Float32Array(32))]).toEqual(Array(34).fill(0));
    // The scale is 0 / -8: a negative zero, in ggml too.
    expect([...encodeTensor(GgmlType.Q4_0, new Float32Array(32))]).toEqual([0, 0x80, ...Array<number>(16).fill(0x88)]);
  });

  it('refuses types that it cannot write', () => {
    expect(() => encodeTensor(GgmlType.Q6_K, new Float32Array(256))).toThrow('type Q6_K cannot be written');
  });
});
