import { describe, expect, it } from 'vitest';
import { type Arrival, simulate, type StageTimes } from './pipeline-simulator.fixture';
import { reportOf } from './simulation-report.fixture';

/** Steps that take the same time whatever they hold: every figure can be told by hand. */
const TEN_MS: StageTimes = {
  ...{ decodeStepMs: 10, decodeRowMs: 0, laneTokenMs: 0 },
  ...{ prefillStepMs: 10, prefillTokenMs: 0, copyTokenMs: 0 },
};
/** As on one thread: weights take 10 ms to read, each row 4 ms and each token of a chunk 3 ms. */
const STAGE: StageTimes = {
  ...{ decodeStepMs: 10, decodeRowMs: 4, laneTokenMs: 0 },
  ...{ prefillStepMs: 40, prefillTokenMs: 3, copyTokenMs: 0.01 },
};

const pipeline = (stages: readonly StageTimes[], hopMs: number) => ({
  ...{ stages, hopMs, slots: 8, contextLength: 4_096, queueLimit: 1_000 },
});
const arrival = (index: number, atMs: number, promptTokens: number, outputTokens: number): Arrival => ({
  ...{ atMs, outputTokens },
  promptIds: Array.from({ length: promptTokens }, (_, token) => 10_000 * index + token),
});
const arrivals = (count: number, everyMs: number, promptTokens: number, outputTokens: number): Arrival[] =>
  Array.from({ length: count }, (_, index) => arrival(index, index * everyMs, promptTokens, outputTokens));

describe('reportOf', () => {
  it('gives the figures of one sequence in two equal stages', () => {
    const report = reportOf(simulate([arrival(0, 100, 20, 5)], pipeline([TEN_MS, TEN_MS], 5)));
    // Each step computes 10 of its 30 ms in each stage.
    expect(report.utilisation).toEqual([1 / 3, 1 / 3]);
    expect(report.bubbleShare).toBeCloseTo(2 / 3);
    expect(report.timeToFirstToken).toEqual({ p50: 30, p99: 30 });
    expect(report.interToken).toEqual({ p50: 30, p99: 30 });
    expect(report.tokensPerSecond).toBeCloseTo(5 / 0.25);
  });

  it('tells the stages apart: the slow one works, the fast one waits', () => {
    const slow = { ...TEN_MS, decodeStepMs: 30, prefillStepMs: 30 };
    const { utilisation, bubbleShare } = reportOf(simulate(arrivals(8, 0, 20, 200), pipeline([TEN_MS, slow], 0.5)));
    expect(utilisation[0]).toBeCloseTo(1 / 3, 1);
    expect(utilisation[1]).toBeGreaterThan(0.97);
    expect(bubbleShare).toBeCloseTo(1 / 3, 1);
  });

  it('takes percentiles by rank', () => {
    // One of 50 waits for the long chunk of another: the median does not see it, the 99th percentile does.
    const trace = [arrival(0, 0, 20, 51), arrival(1, 205, 120, 1)];
    const { interToken } = reportOf(simulate(trace, pipeline([{ ...TEN_MS, prefillTokenMs: 1 }], 0)));
    expect(interToken.p50).toBe(10);
    expect(interToken.p99).toBeGreaterThan(50);
  });
});

/** From the first value to the second. */
type Range = readonly [number, number];

describe('a load on two stages', () => {
  it.each<{
    trace: string;
    load: Arrival[];
    bubble: Range;
    firstP50: Range;
    firstP99: Range;
    gapP50: Range;
    gapP99: Range;
  }>([
    {
      // Everybody waits for one of eight slots, and chunks of those to come are between the tokens of those that run.
      ...{ trace: 'a burst of 40', load: arrivals(40, 0, 60, 50), bubble: [0, 0.2] },
      ...{ firstP50: [10_000, 14_000], firstP99: [20_000, 28_000], gapP50: [40, 70], gapP99: [100, 600] },
    },
    {
      // Each has the pipeline for itself: a stage works while the other waits.
      ...{ trace: 'a request every 2 s', load: arrivals(40, 2_000, 60, 50), bubble: [0.49, 0.55] },
      ...{ firstP50: [440, 442], firstP99: [440, 442], gapP50: [29, 29], gapP99: [29, 29] },
    },
    {
      ...{ trace: 'prompts of 1,500 tokens among six streams', bubble: [0, 0.05] },
      load: [
        ...arrivals(6, 0, 30, 300),
        ...[5_000, 8_000, 11_000].map((atMs, index) => arrival(50 + index, atMs, 1_500, 20)),
      ],
      ...{ firstP50: [400, 1_200], firstP99: [8_000, 16_000], gapP50: [36, 60], gapP99: [184, 550] },
    },
  ])('$trace', ({ load, ...expected }) => {
    const simulation = simulate(load, pipeline([STAGE, STAGE], 0.5));
    const { bubbleShare, utilisation, timeToFirstToken, interToken } = reportOf(simulation);
    const within = (value: number, [from, to]: Range) => {
      expect(value).toBeGreaterThanOrEqual(from);
      expect(value).toBeLessThanOrEqual(to);
    };
    expect(simulation.sequences.every(({ outcome }) => outcome === 'finished')).toBe(true);
    expect(utilisation[0]).toBeCloseTo(utilisation[1]!, 2);
    within(bubbleShare, expected.bubble);
    within(timeToFirstToken.p50, expected.firstP50);
    within(timeToFirstToken.p99, expected.firstP99);
    within(interToken.p50, expected.gapP50);
    within(interToken.p99, expected.gapP99);
  });
});
