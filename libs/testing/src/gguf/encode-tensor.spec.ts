import { join } from 'node:path';
import { repositoryRoot } from '@pangalactic/contracts';
import { dequantizeRows, GgmlType, GgufFile } from '@pangalactic/models';
import { describe, expect, it } from 'vitest';
import { encodeTensor } from './encode-tensor';

describe('encodeTensor', () => {
  it.each([
    ['pangalactic-nano.gguf', GgmlType.Q8_0],
    ['pangalactic-nano-q4_0.gguf', GgmlType.Q4_0],
  ])('quantises byte for byte like the tool that made %s', async (name, type) => {
    const exact = await GgufFile.open(join(repositoryRoot(), 'models', 'pangalactic-nano-f16.gguf'));
    const quantised = await GgufFile.open(join(repositoryRoot(), 'models', name));
    let compared = 0;
    for (const tensor of quantised.header.tensors.values()) {
      if (tensor.type !== type) continue;
      const [columns, rows] = tensor.shape as [number, number];
      const values = new Float32Array(columns * rows);
      dequantizeRows(GgmlType.F16, await exact.readTensor(tensor.name), columns, [...Array(rows).keys()], values);
      expect((await quantised.readTensor(tensor.name)).equals(encodeTensor(type, values))).toBe(true);
      compared += 1;
    }
    expect(compared).toBeGreaterThanOrEqual(56);
    await Promise.all([exact.close(), quantised.close()]);
  });

  it('writes a block of zeros', () => {
    expect([...encodeTensor(GgmlType.Q8_0, new Float32Array(32))]).toEqual(Array(34).fill(0));
    // The scale is 0 / -8: a negative zero, in ggml too.
    expect([...encodeTensor(GgmlType.Q4_0, new Float32Array(32))]).toEqual([0, 0x80, ...Array<number>(16).fill(0x88)]);
  });

  it('refuses types that it cannot write', () => {
    expect(() => encodeTensor(GgmlType.Q2_K, new Float32Array(256))).toThrow('type Q2_K cannot be written');
  });
});
