import { afterAll, describe, expect, it } from 'vitest';
import { referenceSoftmax } from '../../sampling/reference-softmax.fixture';
import { SoftmaxSession } from './softmax-session';

const VOCABULARY = 1_000;

describe.each([true, false])('SoftmaxSession, in place %s', (inPlace) => {
  const opened = SoftmaxSession.open(VOCABULARY, inPlace);
  afterAll(async () => (await opened).close());

  it.each([0.00001, 0.05, 0.7, 1, 2])('agrees with float64 at temperature %d', async (temperature) => {
    const { softmax } = await opened;
    const logits = Float32Array.from({ length: VOCABULARY }, (_, id) => 8 * Math.sin(id * id) - 3);
    const before = logits.slice();
    const [ours, reference] = [await softmax(logits, temperature), await referenceSoftmax(logits, temperature)];
    // What scaling rounds away counts in the exponent.
    const tolerance = 3e-6 + 1e-6 / temperature;
    ours.forEach((probability, id) => {
      expect(Math.abs(probability - reference[id]!)).toBeLessThan(tolerance * reference[id]! + 1e-30);
    });
    expect(logits).toEqual(before);
  });

  it('takes a view of the logits', async () => {
    const { softmax } = await opened;
    const rows = new Float32Array(2 * VOCABULARY).fill(1, VOCABULARY);
    rows[VOCABULARY + 7] = 100;
    const peaked = await softmax(rows.subarray(VOCABULARY), 1);
    expect(peaked[7]).toBeCloseTo(1, 6);
    const even = await softmax(rows.subarray(0, VOCABULARY), 1);
    expect(even[7]).toBeCloseTo(1 / VOCABULARY, 9);
  });
});
