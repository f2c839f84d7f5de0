import { dequantizeRows, engineFormat, GgmlType, ggmlTypeLayout, QUANT_TYPES } from '@pangalactic/models';
import { encodeTensor, seededRandom } from '@pangalactic/testing';
import { describe, expect, it } from 'vitest';
import { packQuants, unpackFloats, unpermuteRotaryRows } from './weight-packing';

/** More than the packing spells out at a time. */
const WEIGHTS = 20_480;

function randomTensor(type: GgmlType): Uint8Array {
  const next = seededRandom(7);
  return encodeTensor(
    type,
    Float32Array.from({ length: WEIGHTS }, () => next() - 0.3),
  );
}

/** What MatMulNBits multiplies with, plus the offset: neighbours lie in the low and high half of a byte. */
function weightsOf(type: GgmlType, raw: Uint8Array): Float32Array {
  const { quants, scales, offsets } = packQuants(type, raw);
  const { bits, groupSize } = engineFormat(type);
  return Float32Array.from({ length: scales.length * groupSize }, (_, i) => {
    const group = Math.floor(i / groupSize);
    const quant = bits === 8 ? quants[i]! : i & 1 ? quants[i >> 1]! >> 4 : quants[i >> 1]! & 0x0f;
    return (quant - 2 ** (bits - 1)) * scales[group]! + (offsets?.[group] ?? 0);
  });
}

function reference(type: GgmlType, raw: Uint8Array): Float32Array {
  const out = new Float32Array(WEIGHTS);
  dequantizeRows(type, raw, WEIGHTS, Uint32Array.of(0), out);
  // 0 in place of -0, which is the same weight.
  return out.map((weight) => weight + 0);
}

const quantTypes = [...QUANT_TYPES].map(([type, { asymmetric }]) => ({ name: GgmlType[type], type, asymmetric }));

describe('weight packing', () => {
  it.each(quantTypes.filter(({ asymmetric }) => !asymmetric))('keeps every $name weight', ({ type }) => {
    const raw = randomTensor(type);
    expect(weightsOf(type, raw)).toEqual(reference(type, raw));
  });

  it.each(quantTypes.filter(({ asymmetric }) => asymmetric))(
    'keeps every $name weight but for the rounding of its offset to float32',
    ({ type }) => {
      const raw = randomTensor(type);
      const [packed, expected] = [weightsOf(type, raw), reference(type, raw)];
      const errors = packed.map((weight, i) => Math.abs(weight - expected[i]!));
      // Weights and offsets are below 1.
      expect(Math.max(...errors)).toBeLessThanOrEqual(2 ** -23);
      expect(expected.some((weight) => Math.abs(weight) > 0.6)).toBe(true);
    },
  );

  it.each([GgmlType.F16, GgmlType.BF16, GgmlType.F32].map((type) => ({ name: GgmlType[type], type })))(
    'keeps every $name weight',
    ({ type }) => {
      const raw = randomTensor(type);
      expect(raw.length).toBe(WEIGHTS * ggmlTypeLayout(type).blockBytes);
      expect(unpackFloats(type, raw)).toEqual(reference(type, raw));
    },
  );

  it('turns neighbouring rotary pairs into halves of the head', () => {
    // Two heads of size 6, one byte per row; a file holds the pairs (0, 3), (1, 4), (2, 5) of each head side by side.
    const stored = Uint8Array.from([0, 3, 1, 4, 2, 5, 10, 13, 11, 14, 12, 15]);
    expect([...unpermuteRotaryRows(stored, 1, 6)]).toEqual([0, 1, 2, 3, 4, 5, 10, 11, 12, 13, 14, 15]);
  });
});
