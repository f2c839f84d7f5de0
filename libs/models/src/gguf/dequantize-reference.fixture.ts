import { GgmlType } from './ggml-type';
import { halfToFloat } from './half';

/**
 * The loops of dequantize_row_* in ggml-quants.c, statement by statement: they walk a block in the order of its bytes and know
 * nothing of groups, unlike the readers that they are compared with.
 * @returns the values of one block
 */
export const REFERENCES: ReadonlyMap<GgmlType, (x: DataView) => number[]> = new Map([
  [GgmlType.Q4_0, q4_0],
  [GgmlType.Q4_1, q4_1],
  [GgmlType.Q5_0, q5_0],
  [GgmlType.Q5_1, q5_1],
  [GgmlType.Q8_0, q8_0],
  [GgmlType.Q4_K, q4_K],
  [GgmlType.Q5_K, q5_K],
  [GgmlType.Q6_K, q6_K],
]);

const half = (x: DataView, at: number) => halfToFloat(x.getUint16(at, true));

function q4_0(x: DataView): number[] {
  const y: number[] = [];
  const d = half(x, 0);
  for (let j = 0; j < 16; j++) {
    y[j] = ((x.getUint8(2 + j) & 0x0f) - 8) * d;
    y[j + 16] = ((x.getUint8(2 + j) >> 4) - 8) * d;
  }
  return y;
}

function q4_1(x: DataView): number[] {
  const y: number[] = [];
  const [d, m] = [half(x, 0), half(x, 2)];
  for (let j = 0; j < 16; j++) {
    y[j] = (x.getUint8(4 + j) & 0x0f) * d + m;
    y[j + 16] = (x.getUint8(4 + j) >> 4) * d + m;
  }
  return y;
}

function q5_0(x: DataView): number[] {
  const y: number[] = [];
  const d = half(x, 0);
  const qh = x.getUint32(2, true);
  for (let j = 0; j < 16; j++) {
    const xh_0 = ((qh >>> j) << 4) & 0x10;
    const xh_1 = (qh >>> (j + 12)) & 0x10;
    y[j] = (((x.getUint8(6 + j) & 0x0f) | xh_0) - 16) * d;
    y[j + 16] = (((x.getUint8(6 + j) >> 4) | xh_1) - 16) * d;
  }
  return y;
}

function q5_1(x: DataView): number[] {
  const y: number[] = [];
  const [d, m] = [half(x, 0), half(x, 2)];
  const qh = x.getUint32(4, true);
  for (let j = 0; j < 16; j++) {
    const xh_0 = ((qh >>> j) << 4) & 0x10;
    const xh_1 = (qh >>> (j + 12)) & 0x10;
    y[j] = ((x.getUint8(8 + j) & 0x0f) | xh_0) * d + m;
    y[j + 16] = ((x.getUint8(8 + j) >> 4) | xh_1) * d + m;
  }
  return y;
}

function q8_0(x: DataView): number[] {
  return Array.from({ length: 32 }, (_, j) => x.getInt8(2 + j) * half(x, 0));
}

/** @param q offset of the 12 bytes */
function getScaleMinK4(j: number, x: DataView, q: number): [d: number, m: number] {
  const byte = (at: number) => x.getUint8(q + at);
  if (j < 4) return [byte(j) & 63, byte(j + 4) & 63];
  return [(byte(j + 4) & 0x0f) | ((byte(j - 4) >> 6) << 4), (byte(j + 4) >> 4) | ((byte(j) >> 6) << 4)];
}

function q4_K(x: DataView): number[] {
  const y: number[] = [];
  const [d, min] = [half(x, 0), half(x, 2)];
  let q = 16;
  let is = 0;
  for (let j = 0; j < 256; j += 64) {
    const [sc1, m1] = getScaleMinK4(is, x, 4);
    const [sc2, m2] = getScaleMinK4(is + 1, x, 4);
    for (let l = 0; l < 32; l++) y.push(d * sc1 * (x.getUint8(q + l) & 0x0f) - min * m1);
    for (let l = 0; l < 32; l++) y.push(d * sc2 * (x.getUint8(q + l) >> 4) - min * m2);
    q += 32;
    is += 2;
  }
  return y;
}

function q5_K(x: DataView): number[] {
  const y: number[] = [];
  const [d, min] = [half(x, 0), half(x, 2)];
  const qh = 16;
  let ql = 48;
  let is = 0;
  let u1 = 1;
  let u2 = 2;
  for (let j = 0; j < 256; j += 64) {
    const [sc1, m1] = getScaleMinK4(is, x, 4);
    const [sc2, m2] = getScaleMinK4(is + 1, x, 4);
    const fifth = (l: number, u: number) => (x.getUint8(qh + l) & u ? 16 : 0);
    for (let l = 0; l < 32; l++) y.push(d * sc1 * ((x.getUint8(ql + l) & 0x0f) + fifth(l, u1)) - min * m1);
    for (let l = 0; l < 32; l++) y.push(d * sc2 * ((x.getUint8(ql + l) >> 4) + fifth(l, u2)) - min * m2);
    ql += 32;
    is += 2;
    u1 <<= 2;
    u2 <<= 2;
  }
  return y;
}

function q6_K(x: DataView): number[] {
  const y: number[] = [];
  const d = half(x, 208);
  let [ql, qh, sc] = [0, 128, 192];
  for (let n = 0; n < 256; n += 128) {
    for (let l = 0; l < 32; l++) {
      const is = sc + Math.floor(l / 16);
      const high = x.getUint8(qh + l);
      const q1 = ((x.getUint8(ql + l) & 0x0f) | (((high >> 0) & 3) << 4)) - 32;
      const q2 = ((x.getUint8(ql + l + 32) & 0x0f) | (((high >> 2) & 3) << 4)) - 32;
      const q3 = ((x.getUint8(ql + l) >> 4) | (((high >> 4) & 3) << 4)) - 32;
      const q4 = ((x.getUint8(ql + l + 32) >> 4) | (((high >> 6) & 3) << 4)) - 32;
      y[n + l] = d * x.getInt8(is) * q1;
      y[n + l + 32] = d * x.getInt8(is + 2) * q2;
      y[n + l + 64] = d * x.getInt8(is + 4) * q3;
      y[n + l + 96] = d * x.getInt8(is + 6) * q4;
    }
    ql += 64;
    qh += 32;
    sc += 8;
  }
  return y;
}
