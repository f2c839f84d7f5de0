import { encodeTensor, floatToHalf } from '@pangalactic/testing';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { dequantizeRows } from './dequantize';
import { GgmlType } from './ggml-type';
import { halfToFloat } from './half';

describe('halfToFloat', () => {
  it.each([
    [0x0000, 0],
    [0x8000, -0],
    [0x3c00, 1],
    [0xc000, -2],
    [0x3555, 0.333251953125],
    [0x7bff, 65_504],
    [0x0400, 2 ** -14],
    [0x0001, 2 ** -24],
    [0x83ff, -1023 * 2 ** -24],
    [0x7c00, Infinity],
    [0xfc00, -Infinity],
    [0x7e00, NaN],
  ])('of %i is %f', (bits, value) => {
    expect(halfToFloat(bits)).toBe(value);
  });

  it('is undone by floatToHalf for every number', () => {
    for (let bits = 0; bits < 65_536; bits++) {
      const value = halfToFloat(bits);
      if (!Number.isNaN(value) && floatToHalf(value) !== bits) expect.fail(`bits ${bits} came back differently`);
    }
  });
});

/** A block: float16 1.5, then the quants. */
const scale = [0x00, 0x3e];

describe('dequantizeRows', () => {
  it('reads Q8_0 blocks', () => {
    const raw = Uint8Array.from([...scale, ...Array.from({ length: 32 }, (_, i) => i - 16)]);
    const out = new Float32Array(32);
    dequantizeRows(GgmlType.Q8_0, raw, 32, [0], out);
    expect([...out]).toEqual(Array.from({ length: 32 }, (_, i) => 1.5 * (i - 16)));
  });

  it('reads Q4_0 blocks, low halves first', () => {
    const raw = Uint8Array.from([...scale, ...Array.from({ length: 16 }, (_, i) => i | ((15 - i) << 4))]);
    const out = new Float32Array(32);
    dequantizeRows(GgmlType.Q4_0, raw, 32, [0], out);
    expect([...out.subarray(0, 16)]).toEqual(Array.from({ length: 16 }, (_, i) => 1.5 * (i - 8)));
    expect([...out.subarray(16)]).toEqual(Array.from({ length: 16 }, (_, i) => 1.5 * (7 - i)));
  });

  it.each([
    ['F32', GgmlType.F32, 0],
    ['F16', GgmlType.F16, 2 ** -11],
    ['Q8_0', GgmlType.Q8_0, 0.5 / 127 + 2 ** -11],
    ['Q4_0', GgmlType.Q4_0, 1 / 8 + 2 ** -11],
  ])('returns the rows of %s in the order asked for, each near what was written', (_name, type, tolerance) => {
    const rowElements = 64;
    const value = fc.float({ min: -4, max: 4, noNaN: true }).map((x) => (Math.abs(x) < 1e-3 ? 0 : x));
    fc.assert(
      fc.property(
        fc.array(value, { minLength: 5 * rowElements, maxLength: 5 * rowElements }),
        fc.array(fc.nat({ max: 4 }), { maxLength: 8 }),
        fc.nat({ max: 3 }),
        (values, rows, shift) => {
          const encoded = encodeTensor(type, Float32Array.from(values));
          // Wire buffers are views at any offset.
          const raw = new Uint8Array(encoded.length + shift).subarray(shift);
          raw.set(encoded);
          const out = new Float32Array(rows.length * rowElements);
          dequantizeRows(type, raw, rowElements, Uint32Array.from(rows), out);
          out.forEach((actual, i) => {
            const row = rows[Math.floor(i / rowElements)]!;
            const at = row * rowElements + (i % rowElements);
            const block = values.slice(at - (at % 32), at - (at % 32) + 32);
            const bound = tolerance * Math.max(...block.map(Math.abs));
            expect(Math.abs(actual - values[at]!)).toBeLessThanOrEqual(bound);
          });
        },
      ),
      { numRuns: 30 },
    );
  });

  it('refuses rows that are not there, too small an output and other types', () => {
    const raw = encodeTensor(GgmlType.F32, new Float32Array(64));
    const out = new Float32Array(32);
    for (const row of [2, -1, 0.5, NaN]) {
      expect(() => dequantizeRows(GgmlType.F32, raw, 32, [row], out)).toThrow(`row ${row}: allowed: 0 to 1`);
    }
    expect(() => dequantizeRows(GgmlType.F32, raw, 32, [0, 1], out)).toThrow('2 rows of 32 elements do not fit into 32');
    expect(() => dequantizeRows(GgmlType.Q6_K, raw, 256, [0], out)).toThrow('tensor type Q6_K: allowed: F32');
  });
});
