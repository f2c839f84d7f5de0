import { describe, expect, it } from 'vitest';
import { engineBytes, engineFormat, MATRIX_TYPES } from './engine-format';
import { describeTypes, GGML_TYPES, GgmlType, ggmlTypeLayout } from './ggml-type';
import { QUANT_TYPES } from './quant-groups';

describe('engineBytes', () => {
  it.each([
    ['F32', GgmlType.F32, 4096],
    ['F16', GgmlType.F16, 4096],
    ['BF16', GgmlType.BF16, 4096],
    ['Q8_0', GgmlType.Q8_0, 32 * (32 + 4 + 4)],
    ['Q4_0', GgmlType.Q4_0, 32 * (16 + 4 + 4)],
    ['Q4_1', GgmlType.Q4_1, 32 * (16 + 4 + 4 + 4)],
    ['Q5_0', GgmlType.Q5_0, 32 * (32 + 4 + 4)],
    ['Q5_1', GgmlType.Q5_1, 32 * (32 + 4 + 4 + 4)],
    ['Q4_K', GgmlType.Q4_K, 32 * (16 + 4 + 4 + 4)],
    ['Q5_K', GgmlType.Q5_K, 32 * (32 + 4 + 4 + 4)],
    ['Q6_K', GgmlType.Q6_K, 64 * (16 + 4 + 4)],
  ])('of %s and 1024 elements is %#', (_name, type, bytes) => {
    expect(engineBytes(type, 1024)).toBe(bytes);
  });

  it('refuses every other type by name', () => {
    for (const type of GGML_TYPES.keys()) {
      if (MATRIX_TYPES.includes(type)) continue;
      expect(() => engineBytes(type, 1024)).toThrow(
        expect.objectContaining({
          code: 'unsupported_tensor_type',
          message: `tensor type ${ggmlTypeLayout(type).name}: allowed: ${describeTypes(MATRIX_TYPES)}`,
        }),
      );
    }
  });
});

it('has an engine format that holds all of each type', () => {
  for (const [type, { bits, groupSize, asymmetric }] of QUANT_TYPES) {
    const format = engineFormat(type);
    expect(format).toMatchObject({ groupSize, hasOffsets: asymmetric });
    expect(format.bits).toBeGreaterThanOrEqual(bits);
  }
});
