import { describe, expect, it } from 'vitest';
import { rotaryTables } from './rotary-tables';

const MODEL = { headSize: 4, ropeTheta: 100, ropeScaling: { factor: 1 } };

/** Of the two pairs of a head at each position. */
function angles(...parameters: Parameters<typeof rotaryTables>): number[][] {
  const { cos, sin, positions } = rotaryTables(...parameters);
  return Array.from({ length: positions }, (_, position) =>
    [0, 1].map((i) => Math.atan2(sin[2 * position + i]!, cos[2 * position + i]!)),
  );
}

describe('rotaryTables', () => {
  it('turns each pair of elements slower than the one before', () => {
    const [zero, one, two] = angles(MODEL, 3);
    expect(zero).toEqual([0, 0]);
    expect(one![0]).toBeCloseTo(1, 6);
    expect(one![1]).toBeCloseTo(0.1, 6);
    expect(two![0]).toBeCloseTo(2, 6);
  });

  it('divides by linear scaling and by the factors of the model', () => {
    const [, one] = angles({ ...MODEL, ropeScaling: { factor: 4 } }, 2, Float32Array.of(1, 8));
    expect(one![0]).toBeCloseTo(1 / 4, 6);
    expect(one![1]).toBeCloseTo(0.1 / 32, 6);
  });

  it('scales by YaRN what turns too slowly to have turned once, and makes attention sharper', () => {
    const yarn = { originalContextLength: 32, betaFast: 4, betaSlow: 1 };
    const { cos, sin } = rotaryTables({ ...MODEL, ropeScaling: { factor: 4, yarn } }, 2);
    const magnitude = 1 + 0.1 * Math.log(4);
    expect(Math.hypot(cos[2]!, sin[2]!)).toBeCloseTo(magnitude, 6);
    expect(Math.atan2(sin[2]!, cos[2]!)).toBeCloseTo(1, 6);
    expect(Math.atan2(sin[3]!, cos[3]!)).toBeCloseTo(0.1 / 4, 6);
  });

  it.each([0, -1, NaN, Infinity])('refuses a factor of %f', (factor) => {
    expect(() => rotaryTables(MODEL, 2, Float32Array.of(1, factor))).toThrow(
      expect.objectContaining({
        code: 'corrupt_model_file',
        message: `rotary factor 1 is ${factor}: allowed: numbers above 0`,
      }),
    );
  });
});
