import { dequantizeRows, GgmlType } from '@pangalactic/models';
import { describe, expect, it } from 'vitest';
import { packQ4, packQ8, QUANT_BLOCK, type QuantisedRows, unpackFloats, unpermuteRotaryRows } from './weight-packing';

/** Deterministic bytes with small, finite half-float scales at the start of each block. */
function randomBlocks(blocks: number, blockBytes: number): Uint8Array {
  let state = 7;
  const raw = Uint8Array.from(
    { length: blocks * blockBytes },
    () => (state = (state * 1103515245 + 12345) & 0x7fffffff) >> 16,
  );
  for (let at = 0; at < raw.length; at += blockBytes) raw[at + 1] = 0x20 | (raw[at + 1]! & 0x8f);
  return raw;
}

/** What MatMulNBits multiplies with: (q - zero point) * scale, neighbours in the low and high half of a byte. */
function weightsOf({ quants, scales }: QuantisedRows, bits: 4 | 8): Float32Array {
  return Float32Array.from({ length: scales.length * QUANT_BLOCK }, (_, i) => {
    const scale = scales[Math.floor(i / QUANT_BLOCK)]!;
    if (bits === 8) return (quants[i]! - 128) * scale;
    const byte = quants[i >> 1]!;
    return ((i & 1 ? byte >> 4 : byte & 0x0f) - 8) * scale;
  });
}

function reference(type: GgmlType, raw: Uint8Array, elements: number): Float32Array {
  const out = new Float32Array(elements);
  dequantizeRows(type, raw, elements, Uint32Array.of(0), out);
  return out;
}

describe('weight packing', () => {
  it('keeps every Q4_0 weight', () => {
    const raw = randomBlocks(64, 18);
    expect(weightsOf(packQ4(raw), 4)).toEqual(reference(GgmlType.Q4_0, raw, 64 * QUANT_BLOCK));
  });

  it('keeps every Q8_0 weight', () => {
    const raw = randomBlocks(64, 34);
    expect(weightsOf(packQ8(raw), 8)).toEqual(reference(GgmlType.Q8_0, raw, 64 * QUANT_BLOCK));
  });

  it('keeps every F16 and F32 weight', () => {
    const halves = randomBlocks(32, 2);
    expect(unpackFloats(GgmlType.F16, halves)).toEqual(reference(GgmlType.F16, halves, 32));
    const floats = Float32Array.from({ length: 32 }, (_, i) => Math.fround(Math.sin(i)));
    expect(unpackFloats(GgmlType.F32, new Uint8Array(floats.buffer))).toEqual(floats);
  });

  it('turns neighbouring rotary pairs into halves of the head', () => {
    // Two heads of size 6, one byte per row; a file holds the pairs (0, 3), (1, 4), (2, 5) of each head side by side.
    const stored = Uint8Array.from([0, 3, 1, 4, 2, 5, 10, 13, 11, 14, 12, 15]);
    expect([...unpermuteRotaryRows(stored, 1, 6)]).toEqual([0, 1, 2, 3, 4, 5, 10, 11, 12, 13, 14, 15]);
  });
});
