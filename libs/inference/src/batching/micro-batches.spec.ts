import { describe, expect, it } from 'vitest';
import { type DecodeStepTimes, MicroBatches, nextCount, roundTripOf } from './micro-batches';

const step = (computeMs: readonly number[], transferMs: number): DecodeStepTimes => ({ computeMs, transferMs });

describe('roundTripOf', () => {
  it.each([
    { what: 'equal stages without hops', times: step([10, 10], 0), expected: 2 },
    { what: 'a slow stage', times: step([5, 20, 5], 0), expected: 1.5 },
    { what: 'hops as slow as a stage', times: step([10, 10], 20), expected: 4 },
    { what: 'one stage', times: step([10], 0), expected: 1 },
  ])('counts steps of the slowest stage: $what', ({ times, expected }) => expect(roundTripOf(times)).toBe(expected));
});

describe('nextCount', () => {
  it.each([
    { stages: 2, current: 2, roundTrip: 2, expected: 2 },
    { stages: 2, current: 2, roundTrip: 2.4, expected: 2 },
    { stages: 2, current: 2, roundTrip: 2.5, expected: 3 },
    { stages: 2, current: 2, roundTrip: 5.1, expected: 5 },
    { stages: 2, current: 2, roundTrip: 5.3, expected: 6 },
    // What made it three does not make it two again.
    { stages: 2, current: 3, roundTrip: 2.4, expected: 3 },
    { stages: 2, current: 3, roundTrip: 2, expected: 3 },
    { stages: 2, current: 3, roundTrip: 1.9, expected: 2 },
    // A slow stage needs fewer steps in flight than there are stages, but each stage works on one.
    { stages: 3, current: 3, roundTrip: 1.5, expected: 3 },
    { stages: 3, current: 6, roundTrip: 1.5, expected: 3 },
  ])('$stages stages, $current groups, round trip of $roundTrip steps: $expected', ({ expected, ...given }) => {
    expect(nextCount(given.current, given.roundTrip, given.stages)).toBe(expected);
  });
});

describe('MicroBatches', () => {
  const observe = (microBatches: MicroBatches, times: readonly DecodeStepTimes[]) => {
    for (const each of times) microBatches.observe(each);
    return microBatches.count;
  };
  const steps = (count: number, times: DecodeStepTimes) => Array.from({ length: count }, () => times);

  it('begins with one per stage and follows the hops up and down', () => {
    const microBatches = new MicroBatches(2);
    expect(observe(microBatches, steps(15, step([10, 10], 40)))).toBe(2);
    expect(observe(microBatches, steps(1, step([10, 10], 40)))).toBe(6);
    expect(observe(microBatches, steps(16, step([10, 10], 1)))).toBe(2);
  });

  it('is not impressed by single steps that took long', () => {
    const held = [...steps(9, step([10, 10], 1)), ...steps(7, step([10, 10], 500))];
    expect(observe(new MicroBatches(2), held)).toBe(2);
  });

  it('does not flap between two counts that are both about right', () => {
    const microBatches = new MicroBatches(2);
    const counts = Array.from({ length: 20 }, (_, round) =>
      observe(microBatches, steps(16, step([10, 10], round % 2 ? 7 : 1))),
    );
    expect(new Set(counts.slice(2)).size).toBe(1);
  });

  it('keeps one for a single stage, and its count while stages take no time that a clock could see', () => {
    expect(observe(new MicroBatches(1), steps(32, step([1], 20)))).toBe(1);
    expect(observe(new MicroBatches(3), steps(32, step([0, 0, 0], 20)))).toBe(3);
  });
});
