import { encodeTensor, floatToHalf } from '@pangalactic/testing';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { dequantizeRows } from './dequantize';
import { REFERENCES } from './dequantize-reference.fixture';
import { MATRIX_TYPES } from './engine-format';
import { GgmlType, ggmlTypeLayout } from './ggml-type';
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

  it.each([...REFERENCES].map(([type, reference]) => ({ type: GgmlType[type], reference })))(
    'reads any $type block as ggml does',
    ({ type, reference }) => {
      const { blockSize, blockBytes } = ggmlTypeLayout(GgmlType[type as keyof typeof GgmlType]);
      const bytes = fc.uint8Array({ minLength: blockBytes, maxLength: blockBytes });
      fc.assert(
        fc.property(bytes, (raw) => {
          const expected = reference(new DataView(raw.buffer, raw.byteOffset));
          const out = new Float32Array(blockSize);
          dequantizeRows(GgmlType[type as keyof typeof GgmlType], raw, blockSize, [0], out);
          // Number.NaN and the infinities of hostile scales too; adding 0 makes -0 and 0 equal.
          expect([...out].map((value) => value + 0)).toEqual(expected.map((value) => Math.fround(value) + 0));
        }),
        { numRuns: 200 },
      );
    },
  );

  it('reads BF16 as the upper halves of float32', () => {
    const out = new Float32Array(4);
    dequantizeRows(GgmlType.BF16, Uint8Array.of(0x80, 0x3f, 0x49, 0xc0, 0x00, 0x80, 0x80, 0x7f), 4, [0], out);
    expect([...out]).toEqual([1, -3.140625, -0, Infinity]);
  });

  /** Largest error as a share of the largest magnitude in a block. */
  const TOLERANCES: Partial<Record<GgmlType, number>> = {
    [GgmlType.F32]: 0,
    [GgmlType.F16]: 2 ** -11,
    [GgmlType.BF16]: 2 ** -8,
    [GgmlType.Q8_0]: 0.5 / 127 + 2 ** -11,
    [GgmlType.Q4_0]: 1 / 8 + 2 ** -11,
    [GgmlType.Q4_1]: 1 / 15 + 2 ** -9,
    [GgmlType.Q5_0]: 1 / 16 + 2 ** -11,
    [GgmlType.Q5_1]: 1 / 31 + 2 ** -9,
    // Of the whole block of 256, whose scales and minimums are rounded to 6 bits each.
    [GgmlType.Q4_K]: 1 / 15 + 2 / 63,
    [GgmlType.Q5_K]: 1 / 31 + 2 / 63,
    [GgmlType.Q6_K]: 1 / 32 + 0.5 / 127,
  };

  it.each(MATRIX_TYPES.map((type) => ({ name: GgmlType[type], type })))(
    'returns the rows of $name in the order asked for, each near what was written',
    ({ type }) => {
      const blockSize = Math.max(32, ggmlTypeLayout(type).blockSize);
      const rowElements = 2 * blockSize;
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
            for (let start = 0; start < out.length; start += blockSize) {
              const from = rows[Math.floor(start / rowElements)]! * rowElements + (start % rowElements);
              const block = values.slice(from, from + blockSize);
              const bound = TOLERANCES[type]! * Math.max(...block.map(Math.abs));
              const errors = block.map((expected, i) => Math.abs(out[start + i]! - expected));
              expect(Math.max(...errors)).toBeLessThanOrEqual(bound);
            }
          },
        ),
        { numRuns: 20 },
      );
    },
  );

  it('refuses rows that are not there, too small an output and other types', () => {
    const raw = encodeTensor(GgmlType.F32, new Float32Array(64));
    const out = new Float32Array(32);
    for (const row of [2, -1, 0.5, NaN]) {
      expect(() => dequantizeRows(GgmlType.F32, raw, 32, [row], out)).toThrow(`row ${row}: allowed: 0 to 1`);
    }
    expect(() => dequantizeRows(GgmlType.F32, raw, 32, [0, 1], out)).toThrow(
      '2 rows of 32 elements do not fit into 32',
    );
    expect(() => dequantizeRows(GgmlType.Q2_K, raw, 256, [0], out)).toThrow('tensor type Q2_K: allowed: F32');
  });
});
