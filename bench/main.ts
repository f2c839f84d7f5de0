import { mkdir, writeFile } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { repositoryRoot } from '@pangalactic/contracts';
import { Argument, Command } from 'commander';
import { LlamaCppPeer, peerAvailable } from '@pangalactic/testing';
import { BareEngine } from './bare-engine';
import { describeMachine } from './machine';
import { deliveredCores, QUIET_CORES, quietMoment } from './noise';
import { profile } from './profile';
import { type Round, type Row, ROWS, type Subjects } from './rows';
import { ServedModel } from './served-model';
import { smoke } from './smoke';
import { STUDIES } from './studies';
import { median, relativeSpread } from './statistics';
import { tinyLlamaFile } from './tinyllama';

interface Flags {
  readonly smoke?: true;
  readonly profile?: true;
  readonly rounds: string;
  readonly only?: string;
}

interface Result {
  readonly name: string;
  readonly figure: number;
  readonly spread: number;
  readonly parts: Readonly<Record<string, number>>;
  readonly bar: number;
  readonly stretch: number;
  readonly reached: 'stretch' | 'bar' | 'no';
  /** The lesser of what two busy loops got before and after the rounds. */
  readonly coresDelivered: number;
}

async function main(): Promise<void> {
  const command = new Command('npm run bench --')
    .description(
      'Speed as ratios: against llama.cpp, and against ourselves, on a generated model of TinyLlama 1.1B shape.',
    )
    .addArgument(new Argument('[study]', 'a measurement of its own').choices(Object.keys(STUDIES)))
    .option('--smoke', 'one engine on a small model, a few seconds')
    .option('--profile', 'where the engine spends a step, by operator')
    .option('--rounds <count>', 'rounds of each row, or deaths of each stage', '5')
    .option('--only <text>', 'rows whose name contains this')
    .parse();
  const flags = command.opts<Flags>();
  const study = command.args[0];
  const machine = describeMachine();
  console.log(machine);
  if (flags.smoke) return store('smoke', { machine, rates: await smoke(availableParallelism()) });
  if (flags.profile) return store('profile', { machine, phases: await profile(availableParallelism()) });
  if (study) return store(study, { machine, ...(await STUDIES[study]!(Number(flags.rounds))) });

  const rows = ROWS.filter(({ name }) => name.includes(flags.only ?? ''));
  await store('engine', { machine, results: await measureAll(rows, Number(flags.rounds)) });
}

async function measureAll(rows: readonly Row[], rounds: number): Promise<Result[]> {
  if (!peerAvailable()) throw new Error('llama.cpp is missing: run `node test/peer/install.mjs`');
  const threads = availableParallelism();
  const modelPath = await tinyLlamaFile();
  const oneNode = await ServedModel.start(1, threads);
  const oneNodeOneThread = await ServedModel.start(1, 1);
  const twoNodesOneThread = await ServedModel.start(2, 1);
  const engine = await BareEngine.load(modelPath, threads);
  const peer = LlamaCppPeer.start();
  try {
    const subjects: Subjects = { peer, engine, modelPath, threads, oneNode, oneNodeOneThread, twoNodesOneThread };
    const results: Result[] = [];
    for (const row of rows) results.push(await measureRow(row, rounds, subjects));
    return results;
  } finally {
    await peer.close();
    await engine.close();
    for (const model of [oneNode, oneNodeOneThread, twoNodesOneThread]) await model.stop();
  }
}

/** The first of several rounds warms up and does not count. */
async function measureRow(row: Row, wantedRounds: number, subjects: Subjects): Promise<Result> {
  const { name, bar, stretch, unit, atMost, rounds = wantedRounds } = row;
  if (rounds > 1) await row.measure(subjects);
  const before = await quietMoment();
  const measured: Round[] = [];
  for (let round = 0; round < rounds; round++) measured.push(await row.measure(subjects));
  const coresDelivered = Math.min(before, await deliveredCores());
  const noise = coresDelivered < QUIET_CORES ? `, noisy: ${coresDelivered.toFixed(2)} of 2 cores` : '';
  const figure = median(measured.map((round) => round.figure));
  const spread = relativeSpread(measured.map((round) => round.figure));
  const parts = Object.fromEntries(
    Object.keys(measured[0]!.parts).map((part) => [part, median(measured.map((round) => round.parts[part]!))]),
  );
  const meets = (limit: number) => (atMost ? figure <= limit : figure >= limit);
  const reached = meets(stretch) ? 'stretch' : meets(bar) ? 'bar' : 'no';
  const details = Object.entries(parts).map(([part, value]) => `${part} ${value.toFixed(1)}`);
  console.log(
    `${name.padEnd(60)} ${figure.toFixed(2).padStart(7)} ${unit.padEnd(5)} +- ${(spread * 100).toFixed(0).padStart(2)} %` +
      `  bar ${bar}, stretch ${stretch}: ${reached}  (${details.join(', ')}${noise})`,
  );
  return { name, figure, spread, parts, bar, stretch, reached, coresDelivered };
}

async function store(name: string, result: object): Promise<void> {
  const folder = join(repositoryRoot(), 'bench/results');
  await mkdir(folder, { recursive: true });
  const path = join(folder, `${name}.local.json`);
  await writeFile(path, `${JSON.stringify(result, null, 2)}\n`);
  console.log(`written to ${path}`);
}

main().catch((error: unknown) => {
  process.exitCode = 1;
  console.error(error);
});
