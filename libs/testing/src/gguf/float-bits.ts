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

/** To the nearest bfloat16 of a finite number, ties to even. */
export function floatToBfloat16(value: number): number {
  bits.setFloat32(0, value);
  return (roundedShift(bits.getUint32(0), 16) & 0xffff) >>> 0;
}

function roundedShift(value: number, shift: number): number {
  const whole = value >>> shift;
  const rest = value & ((1 << shift) - 1);
  const half = 1 << (shift - 1);
  return rest > half || (rest === half && whole & 1) ? whole + 1 : whole;
}
