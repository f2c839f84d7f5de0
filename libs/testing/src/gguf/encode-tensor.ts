import { ggmlBytes, GgmlType, ggmlTypeLayout } from '@pangalactic/models';

type Encoder = (values: Float32Array, view: DataView) => void;

const ENCODERS: ReadonlyMap<GgmlType, Encoder> = new Map<GgmlType, Encoder>([
  [GgmlType.F32, encodeF32],
  [GgmlType.F16, encodeF16],
  [GgmlType.Q8_0, encodeQ8],
  [GgmlType.Q4_0, encodeQ4],
]);

/** Values as a tensor of the type, rounded as ggml's reference quantisers round (ggml-quants.c). */
export function encodeTensor(type: GgmlType, values: Float32Array): Uint8Array {
  const encode = ENCODERS.get(type);
  if (!encode) throw new RangeError(`type ${ggmlTypeLayout(type).name} cannot be written`);
  const bytes = new Uint8Array(ggmlBytes(type, values.length));
  encode(values, new DataView(bytes.buffer));
  return bytes;
}

const bits = new DataView(new ArrayBuffer(4));

/** To the nearest float16, ties to even. */
export function floatToHalf(value: number): number {
  bits.setFloat32(0, value);
  const float = bits.getUint32(0);
  const sign = (float >>> 16) & 0x8000;
  const exponent = ((float >>> 23) & 0xff) - 127;
  const fraction = float & 0x7fffff;
  if (exponent === 128) return sign | (fraction === 0 ? 0x7c00 : 0x7e00);
  if (exponent > 15) return sign | 0x7c00;
  // A carry out of the fraction goes into the exponent, which is right: up to infinity.
  if (exponent >= -14) return sign | (((exponent + 15) << 10) + roundedShift(fraction, 13));
  if (exponent >= -25) return sign | roundedShift(fraction | 0x800000, -exponent - 1);
  return sign;
}

function roundedShift(value: number, shift: number): number {
  const whole = value >>> shift;
  const rest = value & ((1 << shift) - 1);
  const half = 1 << (shift - 1);
  return rest > half || (rest === half && whole & 1) ? whole + 1 : whole;
}

function encodeF32(values: Float32Array, view: DataView): void {
  values.forEach((value, i) => view.setFloat32(4 * i, value, true));
}

function encodeF16(values: Float32Array, view: DataView): void {
  values.forEach((value, i) => view.setUint16(2 * i, floatToHalf(value), true));
}

function encodeQ8(values: Float32Array, view: DataView): void {
  for (let block = 0; block < values.length / 32; block++) {
    const at = block * 34;
    const start = block * 32;
    const scale = Math.fround(Math.abs(largest(values, start)) / 127);
    const inverse = scale === 0 ? 0 : Math.fround(1 / scale);
    view.setUint16(at, floatToHalf(scale), true);
    for (let j = 0; j < 32; j++) {
      const scaled = Math.fround(values[start + j]! * inverse);
      view.setInt8(at + 2 + j, Math.sign(scaled) * Math.floor(Math.abs(scaled) + 0.5));
    }
  }
}

function encodeQ4(values: Float32Array, view: DataView): void {
  for (let block = 0; block < values.length / 32; block++) {
    const at = block * 18;
    const start = block * 32;
    // The largest value becomes exactly -8, the one end of the range that has no counterpart.
    const scale = Math.fround(largest(values, start) / -8);
    const inverse = scale === 0 ? 0 : Math.fround(1 / scale);
    const quant = (value: number) =>
      Math.min(15, Math.trunc(Math.fround(Math.fround(value * inverse) + Math.fround(8.5))));
    view.setUint16(at, floatToHalf(scale), true);
    for (let j = 0; j < 16; j++) {
      view.setUint8(at + 2 + j, quant(values[start + j]!) | (quant(values[start + j + 16]!) << 4));
    }
  }
}

/** Of 32 values the first with the largest magnitude, with its sign. */
function largest(values: Float32Array, start: number): number {
  let found = 0;
  for (let i = start; i < start + 32; i++) if (Math.abs(values[i]!) > Math.abs(found)) found = values[i]!;
  return found;
}
