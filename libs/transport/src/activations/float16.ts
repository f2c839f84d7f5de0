/** The largest finite half, 65504. */
const MAX_BITS = 0x7bff;
const INFINITY_BITS = 0x7c00;
const NAN_BITS = 0x7e00;

/** Of float32: exponent field of the smallest normal half, 2^-14, and what the exponents' biases differ by. */
const FLOAT_SMALLEST_NORMAL = 0x3880_0000;
const FLOAT_REBIAS = 0x3800_0000;
const FLOAT_INFINITY = 0x7f80_0000;
/** The smallest half above 0 is 2^-24. */
const SUBNORMAL_STEPS = 2 ** 24;

/**
 * Rounds to the nearest half, ties to even. Finite values beyond the range become the largest finite one: an infinity in one
 * hidden state would make everything after it NaN.
 */
export function encodeFloat16(values: Float32Array, halves: Uint16Array): void {
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  for (let at = 0; at < bits.length; at++) {
    const word = bits[at]!;
    const magnitude = word & 0x7fff_ffff;
    let half: number;
    if (magnitude < FLOAT_SMALLEST_NORMAL)
      half = Math.fround(Math.abs(values[at]!) + 0.5) * SUBNORMAL_STEPS - SUBNORMAL_STEPS / 2;
    else if (magnitude < FLOAT_INFINITY) {
      half = Math.min((magnitude - FLOAT_REBIAS + 0xfff + ((magnitude >>> 13) & 1)) >>> 13, MAX_BITS);
    } else half = magnitude === FLOAT_INFINITY ? INFINITY_BITS : NAN_BITS;
    halves[at] = half | ((word >>> 16) & 0x8000);
  }
}

export function decodeFloat16(halves: Uint16Array, values: Float32Array): void {
  for (let at = 0; at < halves.length; at++) values[at] = FLOAT_OF_HALF[halves[at]!]!;
}

/** Every half there is: 256 KiB, and one look-up instead of a case for each kind of value. */
const FLOAT_OF_HALF = Float32Array.from({ length: 0x1_0000 }, (_, half) => floatOf(half));

function floatOf(half: number): number {
  const sign = half & 0x8000 ? -1 : 1;
  const exponent = (half >>> 10) & 0x1f;
  const fraction = half & 0x3ff;
  if (exponent === 0) return (sign * fraction) / SUBNORMAL_STEPS;
  if (exponent === 0x1f) return fraction === 0 ? sign * Infinity : NaN;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}
