import { PangalacticError } from '@pangalactic/contracts';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { float32FromBytes, float32ToBytes } from './tensor-bytes';

const tensors = fc.float32Array({ maxLength: 64 });

describe('tensor bytes', () => {
  it('come back bit for bit at any offset in a frame', () => {
    fc.assert(
      fc.property(tensors, fc.nat(9), (tensor, offset) => {
        const frame = Buffer.alloc(offset + tensor.byteLength);
        float32ToBytes(tensor).copy(frame, offset);
        const decoded = float32FromBytes(frame.subarray(offset), tensor.length);
        expect(float32ToBytes(decoded).equals(float32ToBytes(tensor))).toBe(true);
      }),
    );
  });

  it('are not copied when encoding, nor when decoding an aligned frame', () => {
    const tensor = new Float32Array(8);
    const view = tensor.subarray(2, 6);
    const bytes = float32ToBytes(view);
    expect(bytes.buffer).toBe(tensor.buffer);
    expect(bytes.byteLength).toBe(16);
    expect(float32FromBytes(bytes, 4).buffer).toBe(tensor.buffer);
  });

  it.each([0, 1, 4, 15, 17, 20])('of length %i are no 4 values', (length) => {
    const decode = () => float32FromBytes(new Uint8Array(length), 4);
    expect(decode).toThrow(PangalacticError);
    expect(decode).toThrow(`a tensor of ${length} bytes arrived, expected 4 float32 values (16 bytes)`);
  });
});
