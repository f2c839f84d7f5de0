import {
  allocateQuantGroups,
  dequantizeRows,
  engineFormat,
  ggmlBytes,
  type GgmlType,
  ggmlTypeLayout,
  QUANT_TYPES,
  type QuantGroups,
  readQuantGroups,
} from '@pangalactic/models';

/**
 * Packed rows of a MatMulNBits weight: [rows, groups, bytes per group] uint8, [rows * groups] float32, and in formats with
 * offsets [rows, groups] float32.
 */
export interface QuantisedRows {
  readonly quants: Uint8Array;
  readonly scales: Float32Array;
  readonly offsets: Float32Array | undefined;
}

/** Weights that are spelled out at a time: a whole number of blocks of any type, small enough for the processor's cache. */
const PIECE_WEIGHTS = 16_384;

/**
 * Quants of any type in the engine's order, in which neighbours share a byte, and around its zero point, the middle of
 * the range. The offsets take up what that moves: a minimum m below quants from 0 on is m + scale x center around it.
 */
export function packQuants(type: GgmlType, raw: Uint8Array): QuantisedRows {
  const { bits, groupSize, hasOffsets } = engineFormat(type);
  const { center } = QUANT_TYPES.get(type)!;
  const { blockSize, blockBytes } = ggmlTypeLayout(type);
  const weights = (raw.length / blockBytes) * blockSize;
  const quants = new Uint8Array((weights * bits) / 8);
  const scales = new Float32Array(weights / groupSize);
  const offsets = hasOffsets ? new Float32Array(scales.length) : undefined;

  const piece = allocateQuantGroups(type, PIECE_WEIGHTS);
  for (let first = 0; first < weights; first += PIECE_WEIGHTS) {
    const count = Math.min(PIECE_WEIGHTS, weights - first);
    const groups = count / groupSize;
    readQuantGroups(type, raw, ggmlBytes(type, first), count, piece);
    if (bits === 4) joinNibbles(piece.quants, count, quants, first / 2);
    else shiftQuants(piece.quants, count, 128 - center, quants, first);
    scales.set(piece.scales.subarray(0, groups), first / groupSize);
    if (offsets) addOffsets(piece, groups, center, offsets, first / groupSize);
  }
  return { quants, scales, offsets };
}

/** The center of all types of 4 bits is the engine's: 8. */
function joinNibbles(quants: Uint8Array, count: number, out: Uint8Array, to: number): void {
  for (let i = 0; i < count / 2; i++) out[to + i] = quants[2 * i]! | (quants[2 * i + 1]! << 4);
}

function shiftQuants(quants: Uint8Array, count: number, shift: number, out: Uint8Array, to: number): void {
  for (let i = 0; i < count; i++) out[to + i] = quants[i]! + shift;
}

function addOffsets(
  { scales, minimums }: QuantGroups,
  groups: number,
  center: number,
  out: Float32Array,
  to: number,
): void {
  for (let i = 0; i < groups; i++) out[to + i] = minimums[i]! + scales[i]! * center;
}

/** All elements of a tensor as float32. */
export function unpackFloats(type: GgmlType, raw: Uint8Array): Float32Array {
  const { blockSize, blockBytes } = ggmlTypeLayout(type);
  const floats = new Float32Array((raw.length / blockBytes) * blockSize);
  dequantizeRows(type, raw, floats.length, [0], floats);
  return floats;
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
