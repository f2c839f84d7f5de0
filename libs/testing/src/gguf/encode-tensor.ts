import { ggmlBytes, GgmlType, ggmlTypeLayout } from '@pangalactic/models';
import { encodeQ4K, encodeQ5K, encodeQ6K } from './encode-k-quants';
import { floatToBfloat16, floatToHalf } from './float-bits';

type Encoder = (values: Float32Array, view: DataView) => void;

const ENCODERS: ReadonlyMap<GgmlType, Encoder> = new Map<GgmlType, Encoder>([
  [GgmlType.F32, encodeF32],
  [GgmlType.F16, encodeF16],
  [GgmlType.BF16, encodeBF16],
  [GgmlType.Q8_0, encodeQ8],
  [GgmlType.Q4_0, encodeQ4Symmetric],
  [GgmlType.Q4_1, encodeQ4Asymmetric],
  [GgmlType.Q5_0, encodeQ5Symmetric],
  [GgmlType.Q5_1, encodeQ5Asymmetric],
  [GgmlType.Q4_K, encodeQ4K],
  [GgmlType.Q5_K, encodeQ5K],
  [GgmlType.Q6_K, encodeQ6K],
]);

/**
 * Values as a tensor of the type, rounded as ggml's reference quantisers round (ggml-quants.c); K-quants have ggml's
 * layout, but scales found without its search for the best ones.
 */
export function encodeTensor(type: GgmlType, values: Float32Array): Uint8Array {
  const encode = ENCODERS.get(type);
  if (!encode) throw new RangeError(`type ${ggmlTypeLayout(type).name} cannot be written`);
  const bytes = new Uint8Array(ggmlBytes(type, values.length));
  encode(values, new DataView(bytes.buffer));
  return bytes;
}

function encodeF32(values: Float32Array, view: DataView): void {
  values.forEach((value, i) => view.setFloat32(4 * i, value, true));
}

function encodeF16(values: Float32Array, view: DataView): void {
  values.forEach((value, i) => view.setUint16(2 * i, floatToHalf(value), true));
}

function encodeBF16(values: Float32Array, view: DataView): void {
  values.forEach((value, i) => view.setUint16(2 * i, floatToBfloat16(value), true));
}

function encodeQ8(values: Float32Array, view: DataView): void {
  for (let block = 0; block < values.length / 32; block++) {
    const at = block * 34;
    const start = block * 32;
    const scale = Math.fround(Math.abs(largest(values, start)) / 127);
    const inverse = inverseOf(scale);
    view.setUint16(at, floatToHalf(scale), true);
    for (let j = 0; j < 32; j++) {
      const scaled = Math.fround(values[start + j]! * inverse);
      view.setInt8(at + 2 + j, Math.sign(scaled) * Math.floor(Math.abs(scaled) + 0.5));
    }
  }
}

function encodeQ4Symmetric(values: Float32Array, view: DataView): void {
  for (let block = 0; block < values.length / 32; block++) {
    const at = block * 18;
    const { scale, quants } = symmetricQuants(values, block * 32, 8);
    view.setUint16(at, floatToHalf(scale), true);
    writeNibbles(view, at + 2, quants);
  }
}

function encodeQ4Asymmetric(values: Float32Array, view: DataView): void {
  for (let block = 0; block < values.length / 32; block++) {
    const at = block * 20;
    const { scale, minimum, quants } = asymmetricQuants(values, block * 32, 15);
    view.setUint16(at, floatToHalf(scale), true);
    view.setUint16(at + 2, floatToHalf(minimum), true);
    writeNibbles(view, at + 4, quants);
  }
}

function encodeQ5Symmetric(values: Float32Array, view: DataView): void {
  for (let block = 0; block < values.length / 32; block++) {
    const at = block * 22;
    const { scale, quants } = symmetricQuants(values, block * 32, 16);
    view.setUint16(at, floatToHalf(scale), true);
    writeFifthBits(view, at + 2, quants);
    writeNibbles(view, at + 6, quants);
  }
}

function encodeQ5Asymmetric(values: Float32Array, view: DataView): void {
  for (let block = 0; block < values.length / 32; block++) {
    const at = block * 24;
    const { scale, minimum, quants } = asymmetricQuants(values, block * 32, 31);
    view.setUint16(at, floatToHalf(scale), true);
    view.setUint16(at + 2, floatToHalf(minimum), true);
    writeFifthBits(view, at + 4, quants);
    writeNibbles(view, at + 8, quants);
  }
}

/** The largest value becomes exactly -center, the one end of the range that has no counterpart. */
function symmetricQuants(values: Float32Array, start: number, center: number) {
  const scale = Math.fround(largest(values, start) / -center);
  const inverse = inverseOf(scale);
  const quants = Array.from({ length: 32 }, (_, j) => {
    const scaled = Math.fround(values[start + j]! * inverse);
    return Math.min(2 * center - 1, Math.trunc(Math.fround(scaled + Math.fround(center + 0.5))));
  });
  return { scale, quants };
}

/** The smallest value becomes 0 and the largest `top`. */
function asymmetricQuants(values: Float32Array, start: number, top: number) {
  const block = values.subarray(start, start + 32);
  const minimum = Math.min(...block);
  const scale = Math.fround(Math.fround(Math.max(...block) - minimum) / top);
  const inverse = inverseOf(scale);
  const quants = Array.from(block, (value) => {
    const scaled = Math.fround(Math.fround(value - minimum) * inverse);
    return Math.min(top, Math.trunc(Math.fround(scaled + 0.5)));
  });
  return { scale, minimum, quants };
}

function writeNibbles(view: DataView, at: number, quants: readonly number[]): void {
  for (let j = 0; j < 16; j++) view.setUint8(at + j, (quants[j]! & 0x0f) | ((quants[j + 16]! & 0x0f) << 4));
}

function writeFifthBits(view: DataView, at: number, quants: readonly number[]): void {
  view.setUint32(
    at,
    quants.reduce((bits, quant, j) => bits | ((quant >> 4) << j), 0),
    true,
  );
}

function inverseOf(scale: number): number {
  return scale === 0 ? 0 : Math.fround(1 / scale);
}

/** Of 32 values the first with the largest magnitude, with its sign. */
function largest(values: Float32Array, start: number): number {
  let found = 0;
  for (let i = start; i < start + 32; i++) if (Math.abs(values[i]!) > Math.abs(found)) found = values[i]!;
  return found;
}
