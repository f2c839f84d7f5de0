import type { SimulatedSequence, Simulation } from './pipeline-simulator.fixture';

export interface Percentiles {
  readonly p50: number;
  readonly p99: number;
}

/** What a simulation says about a pipeline and its load. Times are milliseconds. */
export interface SimulationReport {
  /** Share of the time with work in which each stage computed. */
  readonly utilisation: readonly number[];
  /** Share of all stages' time with work in which they did not compute. */
  readonly bubbleShare: number;
  readonly tokensPerSecond: number;
  readonly timeToFirstToken: Percentiles;
  /** Between one token of a sequence and its next. */
  readonly interToken: Percentiles;
}

export function reportOf({ sequences, utilisation, durationMs }: Simulation): SimulationReport {
  const tokens = sequences.reduce((total, { tokensAtMs }) => total + tokensAtMs.length, 0);
  const mean = utilisation.reduce((total, share) => total + share, 0) / utilisation.length;
  return {
    utilisation,
    bubbleShare: 1 - mean,
    tokensPerSecond: (tokens / durationMs) * 1_000,
    timeToFirstToken: percentiles(sequences.flatMap(firstTokenMs)),
    interToken: percentiles(sequences.flatMap(gapsMs)),
  };
}

export function firstTokenMs({ arrival, tokensAtMs }: SimulatedSequence): number[] {
  return tokensAtMs.slice(0, 1).map((atMs) => atMs - arrival.atMs);
}

export function gapsMs({ tokensAtMs }: SimulatedSequence): number[] {
  return tokensAtMs.slice(1).map((atMs, index) => atMs - tokensAtMs[index]!);
}

/** By nearest rank. */
function percentiles(values: readonly number[]): Percentiles {
  if (values.length === 0) throw new Error('nothing to take percentiles of');
  const sorted = [...values].sort((a, b) => a - b);
  const at = (share: number) => sorted[Math.ceil(share * sorted.length) - 1]!;
  return { p50: at(0.5), p99: at(0.99) };
}
