const LARGEST = 127;
const FLOAT_INFINITY = 0x7f80_0000;
const SCALE_BYTES = 4;

/** One scale and one byte per value, for each row. */
export function int8RowBytes(rowLength: number): number {
  return SCALE_BYTES + rowLength;
}

/**
 * Rounds each row to 255 steps between plus and minus its largest magnitude. A row with an infinity or NaN becomes NaN as a
 * whole: no scale could carry it, and a wrong number must not look like a right one.
 */
export function encodeInt8Rows(values: Float32Array, rowLength: number, bytes: Buffer): void {
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  const steps = new Int8Array(bytes.buffer, bytes.byteOffset, bytes.length);
  for (let from = 0, to = 0; from < values.length; from += rowLength, to += int8RowBytes(rowLength)) {
    const scale = largestMagnitude(bits, from, from + rowLength) / LARGEST;
    bytes.writeFloatLE(scale, to);
    const perStep = scale > 0 ? 1 / scale : 0;
    const offset = to + SCALE_BYTES - from;
    // Math.round in its cheap form: nobody minds where ties go.
    for (let at = from; at < from + rowLength; at++) steps[at + offset] = Math.floor(values[at]! * perStep + 0.5);
  }
}

export function decodeInt8Rows(bytes: Buffer, rowLength: number, values: Float32Array): void {
  const steps = new Int8Array(bytes.buffer, bytes.byteOffset, bytes.length);
  for (let to = 0, from = 0; to < values.length; to += rowLength, from += int8RowBytes(rowLength)) {
    const scale = bytes.readFloatLE(from);
    const offset = from + SCALE_BYTES - to;
    for (let at = to; at < to + rowLength; at++) values[at] = steps[at + offset]! * scale;
  }
}

/** NaN unless all values are finite. Magnitudes of floats compare like their bits as integers, NaN above infinity. */
function largestMagnitude(bits: Uint32Array, from: number, to: number): number {
  let largest = 0;
  for (let at = from; at < to; at++) {
    const magnitude = bits[at]! & 0x7fff_ffff;
    if (magnitude > largest) largest = magnitude;
  }
  if (largest >= FLOAT_INFINITY) return NaN;
  return new Float32Array(Uint32Array.of(largest).buffer)[0]!;
}
