import { GgmlType, ggmlTypeLayout } from './ggml-type';
import { halfToFloat } from './half';

/**
 * What a quantised type stores, spelled out: each group of neighbouring weights shares a scale and, in asymmetric types, a
 * minimum. A weight is `scale x (quant - center)`, or `scale x quant + minimum` where the type is asymmetric.
 */
export interface QuantGroups {
  /** One per weight. */
  readonly quants: Uint8Array;
  /** One per group. */
  readonly scales: Float32Array;
  /** One per group; left alone by symmetric types. */
  readonly minimums: Float32Array;
}

export interface QuantType {
  /** Quants are whole numbers below 2^bits. */
  readonly bits: 4 | 5 | 6 | 8;
  /** Weights of a group. */
  readonly groupSize: 16 | 32;
  /** The quant in the middle of the range. */
  readonly center: number;
  readonly asymmetric: boolean;
  /** Reads the block that starts at byte `at`; its first weight is number `to` of `groups`. */
  readonly readBlock: (raw: Uint8Array, at: number, groups: QuantGroups, to: number) => void;
}

/** Blocks as in ggml-common.h, their arithmetic as in ggml-quants.c (dequantize_row_*). */
export const QUANT_TYPES: ReadonlyMap<GgmlType, QuantType> = new Map<GgmlType, QuantType>([
  [GgmlType.Q4_0, { bits: 4, groupSize: 32, center: 8, asymmetric: false, readBlock: readQ4Symmetric }],
  [GgmlType.Q4_1, { bits: 4, groupSize: 32, center: 8, asymmetric: true, readBlock: readQ4Asymmetric }],
  [GgmlType.Q5_0, { bits: 5, groupSize: 32, center: 16, asymmetric: false, readBlock: readQ5Symmetric }],
  [GgmlType.Q5_1, { bits: 5, groupSize: 32, center: 16, asymmetric: true, readBlock: readQ5Asymmetric }],
  [GgmlType.Q8_0, { bits: 8, groupSize: 32, center: 128, asymmetric: false, readBlock: readQ8 }],
  [GgmlType.Q4_K, { bits: 4, groupSize: 32, center: 8, asymmetric: true, readBlock: readQ4K }],
  [GgmlType.Q5_K, { bits: 5, groupSize: 32, center: 16, asymmetric: true, readBlock: readQ5K }],
  [GgmlType.Q6_K, { bits: 6, groupSize: 16, center: 32, asymmetric: false, readBlock: readQ6K }],
]);

export function allocateQuantGroups(type: GgmlType, weights: number): QuantGroups {
  const groups = weights / QUANT_TYPES.get(type)!.groupSize;
  return { quants: new Uint8Array(weights), scales: new Float32Array(groups), minimums: new Float32Array(groups) };
}

/** Reads so many weights from byte `start` on, whole blocks, to the start of `groups`. */
export function readQuantGroups(
  type: GgmlType,
  raw: Uint8Array,
  start: number,
  weights: number,
  groups: QuantGroups,
): void {
  const { readBlock } = QUANT_TYPES.get(type)!;
  const { blockSize, blockBytes } = ggmlTypeLayout(type);
  for (let to = 0, at = start; to < weights; to += blockSize, at += blockBytes) readBlock(raw, at, groups, to);
}

/** float16 scale; 16 bytes of quants. */
function readQ4Symmetric(raw: Uint8Array, at: number, { quants, scales }: QuantGroups, to: number): void {
  scales[to >> 5] = halfAt(raw, at);
  readNibbles(raw, at + 2, 16, quants, to);
}

/** float16 scale and minimum; 16 bytes of quants. */
function readQ4Asymmetric(raw: Uint8Array, at: number, { quants, scales, minimums }: QuantGroups, to: number): void {
  scales[to >> 5] = halfAt(raw, at);
  minimums[to >> 5] = halfAt(raw, at + 2);
  readNibbles(raw, at + 4, 16, quants, to);
}

/** float16 scale; the fifth bits of 32 quants; 16 bytes of their lower four. */
function readQ5Symmetric(raw: Uint8Array, at: number, { quants, scales }: QuantGroups, to: number): void {
  scales[to >> 5] = halfAt(raw, at);
  readNibbles(raw, at + 6, 16, quants, to);
  addFifthBits(raw, at + 2, quants, to);
}

/** float16 scale and minimum; the fifth bits of 32 quants; 16 bytes of their lower four. */
function readQ5Asymmetric(raw: Uint8Array, at: number, { quants, scales, minimums }: QuantGroups, to: number): void {
  scales[to >> 5] = halfAt(raw, at);
  minimums[to >> 5] = halfAt(raw, at + 2);
  readNibbles(raw, at + 8, 16, quants, to);
  addFifthBits(raw, at + 4, quants, to);
}

/** float16 scale; 32 signed bytes. */
function readQ8(raw: Uint8Array, at: number, { quants, scales }: QuantGroups, to: number): void {
  scales[to >> 5] = halfAt(raw, at);
  for (let i = 0; i < 32; i++) quants[to + i] = raw[at + 2 + i]! ^ 0x80;
}

/** 8 groups: float16 factors of the scales and minimums; 12 bytes of both; 128 bytes of quants, two groups in 32 bytes. */
function readQ4K(raw: Uint8Array, at: number, groups: QuantGroups, to: number): void {
  readScalesAndMinimums(raw, at, groups, to >> 5);
  for (let pair = 0; pair < 4; pair++) readNibbles(raw, at + 16 + 32 * pair, 32, groups.quants, to + 64 * pair);
}

/** As Q4_K, with 32 bytes of fifth bits before the quants: bit g of byte i belongs to weight i of group g. */
function readQ5K(raw: Uint8Array, at: number, groups: QuantGroups, to: number): void {
  readScalesAndMinimums(raw, at, groups, to >> 5);
  for (let pair = 0; pair < 4; pair++) readNibbles(raw, at + 48 + 32 * pair, 32, groups.quants, to + 64 * pair);
  for (let i = 0; i < 32; i++) {
    const fifths = raw[at + 16 + i]!;
    for (let group = 0; group < 8; group++) groups.quants[to + 32 * group + i]! += ((fifths >> group) & 1) << 4;
  }
}

/**
 * 16 groups: 128 bytes of the quants' lower four bits, 64 of their upper two, 16 signed scales and their float16 factor.
 * Of each half, 64 bytes hold weights 0 to 63 in their low and 64 to 127 in their high nibbles, and byte i of 32 the upper
 * bits of weights i, i + 32, i + 64 and i + 96.
 */
function readQ6K(raw: Uint8Array, at: number, { quants, scales }: QuantGroups, to: number): void {
  const factor = halfAt(raw, at + 208);
  for (let group = 0; group < 16; group++) scales[(to >> 4) + group] = factor * ((raw[at + 192 + group]! << 24) >> 24);
  for (let half = 0; half < 2; half++) {
    const first = to + 128 * half;
    readNibbles(raw, at + 64 * half, 64, quants, first);
    for (let i = 0; i < 32; i++) {
      const upper = raw[at + 128 + 32 * half + i]!;
      for (let quarter = 0; quarter < 4; quarter++) {
        quants[first + 32 * quarter + i]! += ((upper >> (2 * quarter)) & 3) << 4;
      }
    }
  }
}

/** Low halves of `count` bytes first, then the high ones. */
function readNibbles(raw: Uint8Array, at: number, count: number, quants: Uint8Array, to: number): void {
  for (let i = 0; i < count; i++) {
    const pair = raw[at + i]!;
    quants[to + i] = pair & 0x0f;
    quants[to + count + i] = pair >> 4;
  }
}

function addFifthBits(raw: Uint8Array, at: number, quants: Uint8Array, to: number): void {
  for (let i = 0; i < 32; i++) quants[to + i]! += ((raw[at + (i >> 3)]! >> (i & 7)) & 1) << 4;
}

/**
 * Eight scales and eight minimums of six bits each in 12 bytes (get_scale_min_k4): four of either in the low bits of the
 * first eight bytes, whose upper two bits go on top of the nibbles of the last four. The products are exact in float32.
 */
function readScalesAndMinimums(raw: Uint8Array, at: number, { scales, minimums }: QuantGroups, to: number): void {
  const scaleFactor = halfAt(raw, at);
  const minimumFactor = halfAt(raw, at + 2);
  const packed = at + 4;
  for (let i = 0; i < 4; i++) {
    const [a, b, c] = [raw[packed + i]!, raw[packed + 4 + i]!, raw[packed + 8 + i]!];
    scales[to + i] = scaleFactor * (a & 63);
    minimums[to + i] = -minimumFactor * (b & 63);
    scales[to + 4 + i] = scaleFactor * ((c & 0x0f) | ((a >> 6) << 4));
    minimums[to + 4 + i] = -minimumFactor * ((c >> 4) | ((b >> 6) << 4));
  }
}

function halfAt(raw: Uint8Array, at: number): number {
  return halfToFloat(raw[at]! | (raw[at + 1]! << 8));
}
