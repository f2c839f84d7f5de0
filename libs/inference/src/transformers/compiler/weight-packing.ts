import { GgmlType, halfToFloat } from '@pangalactic/models';

/** How a weight matrix is held by the engine. All three mappings from GGUF are lossless. */
export type WeightFormat = 'fp32' | 'q4' | 'q8';

/** Weights that share one scale, in GGUF as in MatMulNBits. */
export const QUANT_BLOCK = 32;
const Q4_BLOCK_BYTES = 2 + QUANT_BLOCK / 2;
const Q8_BLOCK_BYTES = 2 + QUANT_BLOCK;

const FORMATS: Partial<Record<GgmlType, WeightFormat>> = {
  [GgmlType.F32]: 'fp32',
  [GgmlType.F16]: 'fp32',
  [GgmlType.Q4_0]: 'q4',
  [GgmlType.Q8_0]: 'q8',
};

export function weightFormat(type: GgmlType): WeightFormat {
  const format = FORMATS[type];
  if (!format) throw new Error(`no engine format for tensor type ${GgmlType[type]}: describeModel refuses such files`);
  return format;
}

/** Packed quants and scales of a MatMulNBits weight: [rows, blocks, bytes per block] uint8 and [rows * blocks] float32. */
export interface QuantisedRows {
  readonly quants: Uint8Array;
  readonly scales: Float32Array;
}

/**
 * Q4_0 keeps elements j and j + 16 of a block in byte j; MatMulNBits wants neighbours in one byte. The zero point is 8
 * in both.
 */
export function packQ4(raw: Uint8Array): QuantisedRows {
  const blocks = raw.length / Q4_BLOCK_BYTES;
  const quants = new Uint8Array((blocks * QUANT_BLOCK) / 2);
  const scales = new Float32Array(blocks);
  for (let block = 0, at = 0, to = 0; block < blocks; block++, at += Q4_BLOCK_BYTES, to += 16) {
    scales[block] = scaleAt(raw, at);
    const first = at + 2;
    for (let pair = 0; pair < 8; pair++) {
      const a = raw[first + 2 * pair]!;
      const b = raw[first + 2 * pair + 1]!;
      quants[to + pair] = (a & 0x0f) | ((b & 0x0f) << 4);
      quants[to + 8 + pair] = (a >> 4) | (b & 0xf0);
    }
  }
  return { quants, scales };
}

/** Q8_0 is signed; MatMulNBits is unsigned with zero point 128. */
export function packQ8(raw: Uint8Array): QuantisedRows {
  const blocks = raw.length / Q8_BLOCK_BYTES;
  const quants = new Uint8Array(blocks * QUANT_BLOCK);
  const scales = new Float32Array(blocks);
  for (let block = 0, at = 0, to = 0; block < blocks; block++, at += Q8_BLOCK_BYTES, to += QUANT_BLOCK) {
    scales[block] = scaleAt(raw, at);
    for (let i = 0; i < QUANT_BLOCK; i++) quants[to + i] = raw[at + 2 + i]! ^ 0x80;
  }
  return { quants, scales };
}

/** F16 or F32 as float32. */
export function unpackFloats(type: GgmlType, raw: Uint8Array): Float32Array {
  if (type === GgmlType.F32) {
    const copy = raw.slice();
    return new Float32Array(copy.buffer, copy.byteOffset, copy.byteLength / 4);
  }
  const floats = new Float32Array(raw.length / 2);
  for (let i = 0; i < floats.length; i++) floats[i] = halfToFloat(raw[2 * i]! | (raw[2 * i + 1]! << 8));
  return floats;
}

function scaleAt(raw: Uint8Array, at: number): number {
  return halfToFloat(raw[at]! | (raw[at + 1]! << 8));
}

/**
 * llama files store the rows of the query and key projections for rotary embedding of neighbouring pairs; the attention
 * kernel pairs element i of a head with i + headSize / 2. Rows move whole, so quantised blocks stay as they are.
 * @param raw the tensor's bytes, `rowBytes` per output row
 */
export function unpermuteRotaryRows(raw: Uint8Array, rowBytes: number, headSize: number): Uint8Array {
  const rows = raw.length / rowBytes;
  const half = headSize / 2;
  const out = new Uint8Array(raw.length);
  for (let row = 0; row < rows; row++) {
    const inHead = row % headSize;
    const from = row - inHead + 2 * (inHead % half) + Math.floor(inHead / half);
    out.set(raw.subarray(from * rowBytes, (from + 1) * rowBytes), row * rowBytes);
  }
  return out;
}
