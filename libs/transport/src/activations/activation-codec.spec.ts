import { ActivationFormat, PangalacticError } from '@pangalactic/contracts';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ACTIVATION_FORMATS, activationCodec, type ActivationFormatName } from './activation-codec';

const codec = (name: ActivationFormatName) => activationCodec(ACTIVATION_FORMATS[name]);
/** One value or one row there and back. */
const roundTrip = (name: ActivationFormatName, values: readonly number[]) => [
  ...codec(name).decode(codec(name).encode(Float32Array.from(values), values.length), 1, values.length),
];

const finite = fc.float({ noNaN: true, noDefaultInfinity: true, min: -60_000, max: 60_000 });

describe('every activation format', () => {
  it.each<[ActivationFormatName, number]>([
    ['f32', 4 * 6],
    ['f16', 2 * 6],
    ['int8', 2 * (4 + 3)],
  ])('%s takes %i bytes for two tokens of three values, at any offset in a frame', (name, size) => {
    const hidden = Float32Array.of(1, -2, 0.5, 8, 0, -4);
    const bytes = codec(name).encode(hidden, 3);
    expect(bytes.byteLength).toBe(size);
    for (let offset = 0; offset < 5; offset++) {
      const frame = Buffer.alloc(offset + size);
      bytes.copy(frame, offset);
      const decoded = codec(name).decode(frame.subarray(offset), 2, 3);
      expect(decoded).toHaveLength(6);
      decoded.forEach((value, at) => expect(Math.abs(value - hidden[at]!)).toBeLessThan(0.04));
    }
  });

  it.each<ActivationFormatName>(['f32', 'f16', 'int8'])('%s refuses bytes of another length', (name) => {
    const bytes = codec(name).encode(new Float32Array(6), 3);
    for (const wrong of [bytes.subarray(1), Buffer.alloc(0), Buffer.concat([bytes, bytes])]) {
      const decode = () => codec(name).decode(wrong, 2, 3);
      expect(decode).toThrow(PangalacticError);
      expect(decode).toThrow(`a tensor of ${wrong.length} bytes arrived`);
    }
  });

  it('is one of three; absent is f32', () => {
    expect(activationCodec().name).toBe('f32');
    expect(activationCodec(undefined).name).toBe('f32');
    for (const format of [ActivationFormat.ACTIVATION_FORMAT_UNSPECIFIED, ActivationFormat.UNRECOGNIZED, 9]) {
      expect(() => activationCodec(format)).toThrow('allowed are 1 (f32), 2 (f16), 3 (int8)');
    }
  });
});

describe('f16', () => {
  it.each([
    [0, 0],
    [-0, -0],
    [1, 1],
    [-2.5, -2.5],
    [65_504, 65_504],
    // Halfway between two halves the even one wins.
    [1 + 2 ** -11, 1],
    [1 + 3 * 2 ** -11, 1 + 2 ** -9],
    [2 ** -14, 2 ** -14],
    // Subnormals: steps of 2^-24.
    [2 ** -24, 2 ** -24],
    [-5 * 2 ** -24, -5 * 2 ** -24],
    [2 ** -25, 0],
    [-(2 ** -25), -0],
    [1.5 * 2 ** -24, 2 * 2 ** -24],
    [1023.6 * 2 ** -24, 2 ** -14],
    [1e-30, 0],
    [Infinity, Infinity],
    [-Infinity, -Infinity],
    [NaN, NaN],
    // Finite values stay finite.
    [65_520, 65_504],
    [-1e30, -65_504],
  ])('carries %d as %d', (value, expected) => expect(roundTrip('f16', [value])).toEqual([expected]));

  it('brings every half there is back bit for bit', () => {
    const all = Uint16Array.from({ length: 0x1_0000 }, (_, half) => half);
    const bytes = Buffer.from(all.buffer);
    const again = codec('f16').encode(codec('f16').decode(bytes, 1, all.length), all.length);
    const halves = new Uint16Array(again.buffer, again.byteOffset, all.length);
    const isNaNHalf = (half: number) => (half & 0x7fff) > 0x7c00;
    halves.forEach((half, at) => expect(isNaNHalf(at) ? isNaNHalf(half) : half === at).toBe(true));
  });

  it('is off by half a unit in the last place at most', () => {
    fc.assert(
      fc.property(finite, (value) => {
        const [decoded] = roundTrip('f16', [value]);
        const unit = Math.max(2 ** (Math.floor(Math.log2(Math.abs(value))) - 10), 2 ** -24);
        expect(Math.abs(decoded! - value)).toBeLessThanOrEqual(unit / 2);
      }),
      { numRuns: 1_000 },
    );
  });
});

describe('int8', () => {
  it('is off by half a step of its row at most, and exact at the largest magnitude', () => {
    fc.assert(
      fc.property(fc.array(finite, { minLength: 1, maxLength: 40 }), (values) => {
        const largest = Math.max(...values.map(Math.abs));
        roundTrip('int8', values).forEach((decoded, at) => {
          expect(Math.abs(decoded - values[at]!)).toBeLessThanOrEqual((largest / 127) * 0.5001 + 1e-40);
          if (Math.abs(values[at]!) === largest) expect(decoded).toBeCloseTo(values[at]!, 1);
        });
      }),
    );
  });

  it('gives each row a scale of its own', () => {
    const hidden = Float32Array.of(1_000, -1_000, 0.001, -0.0005);
    const decoded = codec('int8').decode(codec('int8').encode(hidden, 2), 2, 2);
    expect(decoded[2]).toBeCloseTo(0.001, 6);
    expect(decoded[3]).toBeCloseTo(-0.0005, 5);
  });

  it.each([
    ['zeros', [0, -0, 0], [0, 0, 0]],
    ['an infinity', [1, Infinity, 2], [NaN, NaN, NaN]],
    ['NaN', [1, NaN, 2], [NaN, NaN, NaN]],
    ['subnormals too small for a scale', [1e-45, 0, 0], [0, 0, 0]],
  ])('carries a row of %s', (_what, row, expected) =>
    expect(roundTrip('int8', row).map((value) => value + 0)).toEqual(expected),
  );
});
