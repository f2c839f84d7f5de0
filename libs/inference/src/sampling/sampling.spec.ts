import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { drawUniform, philox4x32 } from './philox';
import { argmax, sampleToken } from './sample-token';

describe('philox4x32', () => {
  // Known answers of Random123 1.14 (kat_vectors).
  it.each([
    { counter: [0, 0, 0, 0], key: [0, 0], output: [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8] },
    {
      counter: [0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff],
      key: [0xffffffff, 0xffffffff],
      output: [0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd],
    },
    {
      counter: [0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344],
      key: [0xa4093822, 0x299f31d0],
      output: [0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1],
    },
  ])('gives the published answer for $counter', ({ counter, key, output }) => {
    expect(philox4x32(counter as [number, number, number, number], key as [number, number])).toEqual(output);
  });
});

describe('drawUniform', () => {
  it('depends on seed, choice and completion index, and stays in [0, 1)', () => {
    const draws = [
      drawUniform(1, 0, 0),
      drawUniform(2, 0, 0),
      drawUniform(1, 1, 0),
      drawUniform(1, 0, 1),
      drawUniform(2 ** 40 + 1, 0, 0),
    ];
    expect(new Set(draws).size).toBe(draws.length);
    for (const draw of draws) expect(draw >= 0 && draw < 1).toBe(true);
    expect(drawUniform(7, 0, 3)).toBe(drawUniform(7, 0, 3));
  });

  it('is uniform: chi-squared over 16 bins of 16,000 draws is below the 99.9 % quantile', () => {
    const bins = new Array<number>(16).fill(0);
    for (let index = 0; index < 16_000; index++) bins[Math.floor(drawUniform(42, 0, index) * 16)]!++;
    const chiSquared = bins.reduce((total, count) => total + (count - 1000) ** 2 / 1000, 0);
    expect(chiSquared).toBeLessThan(37.7);
  });
});

/** A sorted reference that shares nothing with the heap. */
function referenceNucleus(logits: Float32Array, temperature: number, topP: number): Map<number, number> {
  const max = Math.max(...logits);
  const weighted = [...logits].map((logit, id) => ({ id, weight: Math.exp((logit - max) / temperature) }));
  const total = weighted.reduce((sum, { weight }) => sum + weight, 0);
  weighted.sort((a, b) => b.weight - a.weight || a.id - b.id);
  const kept = new Map<number, number>();
  let mass = 0;
  for (const { id, weight } of weighted) {
    if (mass >= topP * total && kept.size > 0) break;
    kept.set(id, weight);
    mass += weight;
  }
  return new Map([...kept].map(([id, weight]) => [id, weight / mass]));
}

describe('sampleToken', () => {
  const logits = Float32Array.from([0.1, 2, -1, 2, 1.5, 0]);

  it('is greedy at temperature 0, the lowest id winning a tie', () => {
    expect(argmax(logits)).toBe(1);
    expect(sampleToken(logits, { temperature: 0, topP: 1 }, 0.99)).toBe(1);
  });

  it.each([
    { temperature: 1, topP: 1 },
    { temperature: 0.7, topP: 0.8 },
    { temperature: 1.5, topP: 0.5 },
    { temperature: 1, topP: 0.0001 },
  ])('draws each token as often as the sorted reference says ($temperature, $topP)', (sampling) => {
    const expected = referenceNucleus(logits, sampling.temperature, sampling.topP);
    const counts = new Map<number, number>();
    const draws = 20_000;
    for (let index = 0; index < draws; index++) {
      const id = sampleToken(logits, sampling, drawUniform(5, 0, index));
      counts.set(id, (counts.get(id) ?? 0) + 1);
    }
    for (const [id, count] of counts) {
      const probability = expected.get(id) ?? 0;
      const deviation = Math.sqrt((probability * (1 - probability)) / draws);
      expect(Math.abs(count / draws - probability)).toBeLessThanOrEqual(5 * deviation);
    }
  });

  it('only ever draws from the nucleus', () => {
    fc.assert(
      fc.property(
        fc.array(fc.float({ min: -20, max: 20, noNaN: true }), { minLength: 1, maxLength: 60 }),
        fc.double({ min: 0.05, max: 3, noNaN: true }),
        fc.double({ min: 0.01, max: 0.99, noNaN: true }),
        fc.double({ min: 0, max: 0.999999, noNaN: true }),
        (values, temperature, topP, draw) => {
          const random = Float32Array.from(values);
          // Sums in another order may differ in the last bits: widen the reference by as much.
          const nucleus = referenceNucleus(random, temperature, topP + 1e-9);
          return nucleus.has(sampleToken(random, { temperature, topP }, draw));
        },
      ),
    );
  });
});
