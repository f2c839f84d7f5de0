import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { randomArrivals } from './arrivals.fixture';
import { type Arrival, simulate, type SimulationOptions, type StageTimes } from './pipeline-simulator.fixture';
import { gapsMs } from './simulation-report.fixture';

/** TinyLlama-1.1B in Q4_0 on one thread and on two, as measured; a stage takes its share. */
const ONE_THREAD: StageTimes = {
  ...{ decodeStepMs: 18.5, decodeRowMs: 7, laneTokenMs: 0.0067 },
  ...{ prefillStepMs: 90, prefillTokenMs: 6.5, copyTokenMs: 0.01 },
};
const TWO_THREADS: StageTimes = {
  ...{ decodeStepMs: 12, decodeRowMs: 4.5, laneTokenMs: 0.005 },
  ...{ prefillStepMs: 15, prefillTokenMs: 4, copyTokenMs: 0.01 },
};

function pipeline(stages: number, whole = ONE_THREAD) {
  const share = Object.fromEntries(Object.entries(whole).map(([name, ms]) => [name, (ms as number) / stages]));
  return {
    ...{ stages: Array.from({ length: stages }, () => share as unknown as StageTimes), hopMs: 0.5 },
    ...{ slots: 8, contextLength: 4_096, queueLimit: 1_000 },
  };
}

const stream = (first: number, outputTokens: number): Arrival => ({
  ...{ atMs: 0, outputTokens },
  promptIds: Array.from({ length: 20 }, (_, index) => first * 100 + index),
});

describe('a simulated pipeline', () => {
  it.each([1, 2, 3, 4])('keeps the slowest of %i stages busy with two sequences per stage', (stages) => {
    const streams = Array.from({ length: 2 * stages }, (_, index) => stream(index, 400));
    const { utilisation } = simulate(streams, pipeline(stages));
    expect(Math.max(...utilisation)).toBeGreaterThan(0.9);
  });

  describe('finds the number of micro-batches', () => {
    const rates = (options: SimulationOptions) => {
      const streams = Array.from({ length: options.slots }, (_, index) => stream(index, 200));
      const run = (microBatches?: number) => {
        const simulation = simulate(streams, microBatches === undefined ? options : { ...options, microBatches });
        return { rate: (streams.length * 200) / simulation.durationMs, count: simulation.microBatches };
      };
      const best = Math.max(...streams.map((_, index) => run(index + 1).rate));
      return { ...run(), best, perStage: run(options.stages.length).rate };
    };

    it.each([
      { stages: 2, slots: 12, hopMs: 15, gain: 1.1 },
      { stages: 2, slots: 12, hopMs: 60, gain: 1.15 },
      { stages: 3, slots: 12, hopMs: 30, gain: 1.15 },
      // 20 Mbit/s for hidden states of 8 KiB.
      { stages: 2, slots: 12, hopMs: 15, hopTokenMs: 3.3, gain: 1.2 },
      // The hop itself is the slowest stage: whatever the count, it does no harm.
      { stages: 2, slots: 12, hopMs: 0.5, hopTokenMs: 20, gain: 0.99 },
    ])('with slow hops: $stages stages, hops of $hopMs ms', ({ stages, gain, ...options }) => {
      const { rate, best, perStage, count } = rates({ ...pipeline(stages), ...options });
      expect(rate / perStage).toBeGreaterThan(gain);
      expect(rate / best).toBeGreaterThan(0.9);
      expect(count).toBeGreaterThan(stages);
    });

    it.each([2, 3, 4])('with fast hops: one per stage, %i stages', (stages) => {
      const { count, rate, best } = rates({ ...pipeline(stages), slots: 12 });
      expect(count).toBe(stages);
      expect(rate / best).toBeGreaterThan(0.95);
    });
  });

  it.each([1, 4, 7])(
    'lets %i running streams wait 400 ms at most while a long prompt keeps 75 % of its rate',
    (count) => {
      const long: Arrival = {
        atMs: 3_000,
        promptIds: Array.from({ length: 2_000 }, (_, index) => index),
        outputTokens: 2,
      };
      const options = pipeline(1, TWO_THREADS);
      const alone = simulate([long], options).sequences[0]!.tokensAtMs[0]! - long.atMs;
      const { sequences } = simulate(
        [...Array.from({ length: count }, (_, index) => stream(index, 500)), long],
        options,
      );
      const beside = sequences[count]!.tokensAtMs[0]! - long.atMs;
      expect(alone / beside).toBeGreaterThan(0.75);
      const waits = sequences.slice(0, count).flatMap((sequence) => gapsMs(sequence));
      expect(Math.max(...waits)).toBeLessThan(400);
    },
  );

  it('computes the second turn of a conversation alone', () => {
    const turn = Array.from({ length: 1_000 }, (_, index) => index);
    const { sequences } = simulate(
      [
        { atMs: 0, promptIds: turn, outputTokens: 1 },
        {
          atMs: 60_000,
          promptIds: [...turn, ...Array.from({ length: 32 }, (_, index) => 5_000 + index)],
          outputTokens: 1,
        },
      ],
      pipeline(2),
    );
    const [first, second] = sequences.map(({ tokensAtMs, arrival }) => tokensAtMs[0]! - arrival.atMs);
    expect(sequences[1]!.cachedTokens).toBe(1_000);
    expect(second! / first!).toBeLessThan(1 / 10);
  });

  it('starves nobody: a long prompt gets through a stream of short ones', () => {
    const long: Arrival = { atMs: 0, promptIds: Array.from({ length: 2_000 }, (_, index) => index), outputTokens: 1 };
    const short = Array.from({ length: 400 }, (_, index) => ({ ...stream(index + 50, 2), atMs: 1 + index * 100 }));
    const alone = simulate([long], pipeline(1)).durationMs;
    const { sequences } = simulate([long, ...short], pipeline(1));
    expect(sequences[0]!.tokensAtMs[0]! / alone).toBeLessThan(3);
  });

  it('ends every sequence once under any load', () => {
    const load = fc.record({
      seed: fc.integer(),
      stages: fc.integer({ min: 1, max: 4 }),
      slots: fc.integer({ min: 1, max: 8 }),
      microBatches: fc.integer({ min: 1, max: 8 }),
      hopMs: fc.constantFrom(0, 1, 20),
      meanGapMs: fc.constantFrom(5, 200, 2_000),
      cancelShare: fc.constantFrom(0, 0.3),
    });
    fc.assert(
      fc.property(load, ({ seed, meanGapMs, cancelShare, stages, ...options }) => {
        const arrivals = randomArrivals(seed, { count: 60, meanGapMs, cancelShare });
        const { sequences, utilisation } = simulate(arrivals, { ...pipeline(stages), ...options });
        for (const { arrival, outcome, tokensAtMs } of sequences) {
          expect(['finished', ...(arrival.cancelAfterMs === undefined ? [] : ['cancelled'])]).toContain(outcome);
          if (outcome === 'finished') expect(tokensAtMs).toHaveLength(arrival.outputTokens);
        }
        expect(Math.max(...utilisation)).toBeLessThanOrEqual(1 + 1e-9);
      }),
      { numRuns: 60 },
    );
  });
});
