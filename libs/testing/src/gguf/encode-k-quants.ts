import { floatToHalf } from './float-bits';
import { halfToFloat } from '@pangalactic/models';

/** Weights of a block. */
const BLOCK = 256;

export function encodeQ4K(values: Float32Array, view: DataView): void {
  for (let block = 0; block < values.length / BLOCK; block++) {
    const at = block * 144;
    const quants = asymmetricGroups(values.subarray(block * BLOCK, (block + 1) * BLOCK), 15, view, at);
    writePairs(view, at + 16, quants);
  }
}

export function encodeQ5K(values: Float32Array, view: DataView): void {
  for (let block = 0; block < values.length / BLOCK; block++) {
    const at = block * 176;
    const quants = asymmetricGroups(values.subarray(block * BLOCK, (block + 1) * BLOCK), 31, view, at);
    for (let i = 0; i < 32; i++) {
      let fifths = 0;
      for (let group = 0; group < 8; group++) fifths |= (quants[32 * group + i]! >> 4) << group;
      view.setUint8(at + 16 + i, fifths);
    }
    writePairs(view, at + 48, quants);
  }
}

export function encodeQ6K(values: Float32Array, view: DataView): void {
  for (let block = 0; block < values.length / BLOCK; block++) {
    const at = block * 210;
    const source = values.subarray(block * BLOCK, (block + 1) * BLOCK);
    const { factor, scales, quants } = symmetricGroups(source);
    view.setUint16(at + 208, floatToHalf(factor), true);
    scales.forEach((scale, group) => view.setInt8(at + 192 + group, scale));
    for (let half = 0; half < 2; half++) {
      const quant = (i: number) => quants[128 * half + i]!;
      for (let i = 0; i < 64; i++) {
        view.setUint8(at + 64 * half + i, (quant(i) & 0x0f) | ((quant(i + 64) & 0x0f) << 4));
      }
      for (let i = 0; i < 32; i++) {
        const upper = [0, 1, 2, 3].reduce(
          (bits, quarter) => bits | ((quant(i + 32 * quarter) >> 4) << (2 * quarter)),
          0,
        );
        view.setUint8(at + 128 + 32 * half + i, upper);
      }
    }
  }
}

/** Writes the factors and the scales and minimums of 8 groups; @returns the quants, from 0 to `top`. */
function asymmetricGroups(values: Float32Array, top: number, view: DataView, at: number): Uint8Array {
  const groups = Array.from({ length: 8 }, (_, group) => values.subarray(32 * group, 32 * (group + 1)));
  // What is subtracted: never negative, so that the range of every group holds 0.
  const lows = groups.map((group) => Math.max(0, -Math.min(...group)));
  const steps = groups.map((group, i) => (Math.max(...group) + lows[i]!) / top);
  const [scales, scaleFactor] = sixBits(steps);
  const [minimums, minimumFactor] = sixBits(lows);
  view.setUint16(at, floatToHalf(scaleFactor), true);
  view.setUint16(at + 2, floatToHalf(minimumFactor), true);
  for (let i = 0; i < 4; i++) {
    view.setUint8(at + 4 + i, scales[i]! | ((scales[i + 4]! >> 4) << 6));
    view.setUint8(at + 8 + i, minimums[i]! | ((minimums[i + 4]! >> 4) << 6));
    view.setUint8(at + 12 + i, (scales[i + 4]! & 0x0f) | ((minimums[i + 4]! & 0x0f) << 4));
  }
  return Uint8Array.from(values, (value, i) => {
    const group = i >> 5;
    const scale = scaleFactor * scales[group]!;
    return scale === 0 ? 0 : clamp(Math.round((value + minimumFactor * minimums[group]!) / scale), 0, top);
  });
}

/** Of 16 groups: signed scales of 8 bits with their factor, and quants from 0 to 63 with 32 for zero. */
function symmetricGroups(values: Float32Array) {
  const steps = Array.from({ length: 16 }, (_, group) => {
    const group16 = values.subarray(16 * group, 16 * (group + 1));
    const largest = group16.reduce((found, value) => (Math.abs(value) > Math.abs(found) ? value : found), 0);
    return largest / -32;
  });
  const factor = halfToFloat(floatToHalf(Math.max(...steps.map(Math.abs)) / 127));
  const scales = steps.map((step) => (factor === 0 ? 0 : clamp(Math.round(step / factor), -128, 127)));
  const quants = Uint8Array.from(values, (value, i) => {
    const scale = factor * scales[i >> 4]!;
    return scale === 0 ? 32 : 32 + clamp(Math.round(value / scale), -32, 31);
  });
  return { factor, scales, quants };
}

/** Values of no sign as whole numbers of six bits and the float16 factor that they are multiplied with. */
function sixBits(values: readonly number[]): [whole: number[], factor: number] {
  const factor = halfToFloat(floatToHalf(Math.max(...values) / 63));
  return [values.map((value) => (factor === 0 ? 0 : clamp(Math.round(value / factor), 0, 63))), factor];
}

/** Lower halves of two groups in 32 bytes. */
function writePairs(view: DataView, at: number, quants: Uint8Array): void {
  for (let pair = 0; pair < 4; pair++) {
    for (let i = 0; i < 32; i++) {
      const [low, high] = [quants[64 * pair + i]!, quants[64 * pair + 32 + i]!];
      view.setUint8(at + 32 * pair + i, (low & 0x0f) | ((high & 0x0f) << 4));
    }
  }
}

function clamp(value: number, low: number, high: number): number {
  return Math.min(high, Math.max(low, value));
}
