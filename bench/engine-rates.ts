import type { Shard } from '@pangalactic/inference';
import { EngineDriver } from './engine-driver';
import { median, relativeSpread } from './statistics';

export interface EngineRateOptions {
  readonly rounds: number;
  /** Multiple of a prefill chunk. */
  readonly promptTokens: number;
  readonly decodeTokens: number;
  readonly streams: readonly number[];
  readonly vocabularySize: number;
}

/** Tokens per second: the median of the rounds, and how far they lie apart. */
export interface Rate {
  readonly name: string;
  readonly tokensPerSecond: number;
  readonly spread: number;
}

/** Rounds of the different measurements take turns, so that a slow minute of the machine touches all of them alike. */
export async function engineRates(shard: Shard, options: EngineRateOptions): Promise<Rate[]> {
  const driver = new EngineDriver(shard, options.vocabularySize);
  const measurements = [
    { name: `prefill ${options.promptTokens}`, run: () => prefillRate(driver, options) },
    ...options.streams.map((streams) => ({
      name: `decode, ${streams} ${streams === 1 ? 'stream' : 'streams'}`,
      run: () => decodeRate(driver, streams, options),
    })),
  ];
  const rates = measurements.map((): number[] => []);
  // Round 0 warms up and does not count.
  for (let round = 0; round <= options.rounds; round += 1) {
    for (const [index, { run }] of measurements.entries()) {
      const rate = await run();
      if (round > 0) rates[index]?.push(rate);
    }
  }
  return measurements.map(({ name }, index) => {
    const values = rates[index] ?? [];
    return { name, tokensPerSecond: median(values), spread: relativeSpread(values) };
  });
}

async function prefillRate(driver: EngineDriver, { promptTokens }: EngineRateOptions): Promise<number> {
  const seconds = await timed(() => driver.prefill(1, promptTokens));
  return promptTokens / seconds;
}

async function decodeRate(
  driver: EngineDriver,
  streams: number,
  { decodeTokens, promptTokens }: EngineRateOptions,
): Promise<number> {
  await driver.prefill(streams, promptTokens);
  const seconds = await timed(async () => {
    for (let token = 0; token < decodeTokens; token += 1) await driver.decodeStep();
  });
  return (streams * decodeTokens) / seconds;
}

async function timed(work: () => Promise<void>): Promise<number> {
  const startedAt = performance.now();
  await work();
  return (performance.now() - startedAt) / 1000;
}
