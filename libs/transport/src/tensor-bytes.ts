import { endianness } from 'node:os';
import { PangalacticError } from '@pangalactic/contracts';

const BYTES_PER_ELEMENT = Float32Array.BYTES_PER_ELEMENT;

if (endianness() !== 'LE') throw new Error('tensors travel as little-endian float32; this machine is big-endian');

/**
 * A float32 tensor out of a received frame. A view of the frame's memory where its alignment allows, else a copy: either
 * way the caller owns it.
 * @throws PangalacticError `invalid_frame` when the length is not exactly the expected one
 */
export function float32FromBytes(bytes: Uint8Array, expectedElements: number): Float32Array {
  if (bytes.byteLength !== expectedElements * BYTES_PER_ELEMENT) {
    throw new PangalacticError(
      'invalid_frame',
      `a tensor of ${bytes.byteLength} bytes arrived, expected ${expectedElements} float32 values (${expectedElements * BYTES_PER_ELEMENT} bytes)`,
    );
  }
  if (bytes.byteOffset % BYTES_PER_ELEMENT === 0) {
    return new Float32Array(bytes.buffer, bytes.byteOffset, expectedElements);
  }
  const copy = new Float32Array(expectedElements);
  new Uint8Array(copy.buffer).set(bytes);
  return copy;
}

/** The tensor's memory as bytes, without a copy. */
export function float32ToBytes(tensor: Float32Array): Buffer {
  return Buffer.from(tensor.buffer, tensor.byteOffset, tensor.byteLength);
}
