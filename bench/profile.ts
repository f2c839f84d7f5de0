import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { BareEngine } from './bare-engine';
import { tinyLlamaFile } from './tinyllama';

/** What a profile is taken of. Loading the shard and whatever comes before leave no mark: a prompt is one step, too. */
const PHASES: readonly {
  readonly name: string;
  readonly steps: number;
  readonly run: (engine: BareEngine) => Promise<unknown>;
}[] = [
  { name: 'prefill of 128 tokens', steps: 8, run: (engine) => engine.prefill(8, 128) },
  {
    name: 'decode, 1 stream',
    steps: 101,
    run: async (engine) => {
      await engine.prefill(1, 1);
      await engine.decode(100);
    },
  },
];

export interface OperatorTime {
  /** The operator and, for a layer's, its part of the layer; or what passes between operators or around the run. */
  readonly operator: string;
  readonly microsecondsPerStep: number;
  readonly share: number;
}

interface ProfileEvent {
  readonly cat: string;
  readonly name: string;
  readonly dur: number;
  readonly args?: { readonly op_name?: string };
}

/** Where onnxruntime spends a step, operator by operator, the same operator of all layers taken together. */
export async function profile(threads: number): Promise<Record<string, OperatorTime[]>> {
  const modelPath = await tinyLlamaFile();
  const phases: Record<string, OperatorTime[]> = {};
  for (const { name, steps, run } of PHASES) {
    const folder = await mkdtemp(join(tmpdir(), 'pangalactic-profile-'));
    try {
      const engine = await BareEngine.load(modelPath, threads, { profilePrefix: join(folder, 'profile') });
      const started = performance.now();
      await run(engine);
      const wallMs = performance.now() - started;
      await engine.close();
      phases[name] = stepTimes(await readEvents(folder), steps, wallMs);
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
    print(name, phases[name] ?? []);
  }
  return phases;
}

async function readEvents(folder: string): Promise<ProfileEvent[]> {
  const [file] = await readdir(folder);
  if (!file) throw new Error('onnxruntime wrote no profile');
  return JSON.parse(await readFile(join(folder, file), 'utf8')) as ProfileEvent[];
}

const BETWEEN_OPERATORS = 'between the operators of a run';
const AROUND_RUN = "around the run: binding, sampler, the worker's messages";

function stepTimes(events: readonly ProfileEvent[], steps: number, wallMs: number): OperatorTime[] {
  const micros = new Map<string, number>();
  for (const { name, dur, args } of events.filter(({ cat, name }) => cat === 'Node' && name.endsWith('_kernel_time'))) {
    const part = name.replace(/_kernel_time$/, '').replace(/^layer\d+\./, '');
    const operator = `${args?.op_name ?? 'operator'} ${part}`;
    micros.set(operator, (micros.get(operator) ?? 0) + dur);
  }
  const total = wallMs * 1_000;
  const inOperators = [...micros.values()].reduce((sum, time) => sum + time, 0);
  const runs = events.filter(({ cat, name }) => cat === 'Session' && name === 'model_run');
  const inRuns = runs.reduce((sum, { dur }) => sum + dur, 0);
  micros.set(BETWEEN_OPERATORS, inRuns - inOperators);
  micros.set(AROUND_RUN, total - inRuns);
  return [...micros]
    .map(([operator, time]) => ({ operator, microsecondsPerStep: time / steps, share: time / total }))
    .sort((a, b) => b.share - a.share);
}

function print(phase: string, times: readonly OperatorTime[]): void {
  console.log(`\n${phase}`);
  for (const { operator, microsecondsPerStep, share } of times) {
    const micros = microsecondsPerStep.toFixed(0).padStart(9);
    console.log(`${operator.padEnd(52)} ${micros} us per step ${(share * 100).toFixed(1).padStart(6)} %`);
  }
}
