import { describe, expect, it } from 'vitest';
import { engineBytes, GGML_TYPES, ggmlBytes, GgmlType, ggmlTypeLayout } from './ggml-type';

describe('ggmlBytes', () => {
  it.each([
    [GgmlType.F32, 256, 1024],
    [GgmlType.F16, 256, 512],
    [GgmlType.BF16, 256, 512],
    [GgmlType.Q8_0, 256, 272],
    [GgmlType.Q4_0, 256, 144],
    [GgmlType.Q4_K, 256, 144],
    [GgmlType.Q6_K, 256, 210],
  ])('of type %i and %i elements is %i', (type, elements, bytes) => {
    expect(ggmlBytes(type, elements)).toBe(bytes);
  });
});

describe('engineBytes', () => {
  it.each([
    [GgmlType.F32, 4096],
    [GgmlType.F16, 4096],
    [GgmlType.Q8_0, 32 * 40],
    [GgmlType.Q4_0, 32 * 24],
  ])('of type %i and 1024 elements is %i', (type, bytes) => {
    expect(engineBytes(type, 1024)).toBe(bytes);
  });

  it('refuses every other type by name', () => {
    const supported = [GgmlType.F32, GgmlType.F16, GgmlType.Q8_0, GgmlType.Q4_0];
    for (const type of GGML_TYPES.keys()) {
      if (supported.includes(type)) continue;
      expect(() => engineBytes(type, 1024)).toThrow(
        expect.objectContaining({
          code: 'unsupported_tensor_type',
          message: `tensor type ${ggmlTypeLayout(type).name}: allowed: F32, F16, Q8_0, Q4_0`,
        }),
      );
    }
  });
});

it('knows the layout of every type', () => {
  const types = Object.values(GgmlType).filter((type) => typeof type === 'number');
  expect([...GGML_TYPES.keys()].sort((a, b) => a - b)).toEqual(types);
});
