import { describe, expect, it } from 'vitest';
import { GGML_TYPES, ggmlBytes, GgmlType } from './ggml-type';

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

it('knows the layout of every type', () => {
  const types = Object.values(GgmlType).filter((type) => typeof type === 'number');
  expect([...GGML_TYPES.keys()].sort((a, b) => a - b)).toEqual(types);
});
