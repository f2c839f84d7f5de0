import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { repositoryRoot } from '@pangalactic/contracts';
import { describeModel, GgufFile } from '@pangalactic/models';
import { STABLE_MS } from '@pangalactic/scheduler';
import { startCluster, type TestCluster } from '@pangalactic/testing';
import { median, percentile } from './statistics';

/** Weights that float32 holds exactly: a resumed answer must be the very same. */
const MODEL = 'pangalactic-nano-f16';
const STAGES = ['head', 'middle', 'tail'] as const;
const MAX_TOKENS = 400;
/** Tokens of the answer after which a stage dies. */
const KILL_AFTER = 100;
const WHOLE_MS = 60_000;
/** Of the pause, 99 of 100. */
const BAR_MS = 3_000;
const STRETCH_MS = 1_000;

interface Answer {
  readonly tokens: readonly string[];
  /** When each token came. */
  readonly times: readonly number[];
}

interface Event {
  readonly choices: readonly { readonly logprobs: { readonly tokens: readonly string[] } | null }[];
  readonly error?: { readonly message: string };
}

/**
 * The pause that a client sees when a node dies under its answer and a spare node takes over: from the kill to the next
 * token, by the stage that died. An answer that differs from the undisturbed one by a single token fails the measurement.
 */
export async function measureFailover(rounds: number): Promise<object> {
  const cluster = await startCluster({ nodes: STAGES.length + 1, stages: STAGES.length, model: MODEL });
  try {
    const bias = await endlessBias();
    const undisturbed = await answer(cluster, bias);
    const rows = [];
    for (const [stage, name] of STAGES.entries()) {
      const pauses: number[] = [];
      for (let round = 0; round < rounds; round += 1) {
        pauses.push(await pauseAtDeathOf(stage, cluster, bias, undisturbed));
      }
      const p99 = percentile(pauses, 0.99);
      const reached = p99 <= STRETCH_MS ? 'stretch' : p99 <= BAR_MS ? 'bar' : 'no';
      rows.push({ killed: name, medianMs: Math.round(median(pauses)), p99Ms: Math.round(p99), reached });
    }
    await cluster.untilWhole(WHOLE_MS);
    console.table(rows);
    console.log(`${rounds} deaths of each stage, no token lost or doubled; bar ${BAR_MS} ms, stretch ${STRETCH_MS} ms`);
    return { rounds, rows };
  } finally {
    await cluster.stop();
  }
}

/** @returns milliseconds from the kill to the first token after it that came from the next pipeline */
async function pauseAtDeathOf(
  stage: number,
  cluster: TestCluster,
  bias: Record<string, number>,
  undisturbed: Answer,
): Promise<number> {
  const { pipeline } = await cluster.untilWhole(WHOLE_MS);
  // Successors of pipelines that keep breaking are held back for a moment: that is another measurement.
  await delay(STABLE_MS + 1_000);
  const node = pipeline!.stages[stage]!.nodeId;
  let killedAt = 0;
  const { tokens, times } = await answer(cluster, bias, (count) => {
    if (killedAt > 0 || count < KILL_AFTER) return;
    killedAt = performance.now();
    void cluster.kill(node);
  });
  if (tokens.join() !== undisturbed.tokens.join()) {
    throw new Error(
      `the answer has ${tokens.length} tokens, not the ${undisturbed.tokens.length} that it has undisturbed`,
    );
  }
  await cluster.process(node).exited;
  cluster.start(node);
  // What was under way when the stage died still arrives: the pause ends after the longest gap.
  const after = times.filter((time) => time > killedAt);
  const gaps = after.map((time, index) => time - (after[index - 1] ?? killedAt));
  return after[gaps.indexOf(Math.max(...gaps))]! - killedAt;
}

async function answer(
  cluster: TestCluster,
  logit_bias: Record<string, number>,
  onTokens: (count: number) => void = () => undefined,
): Promise<Answer> {
  const response = await fetch(cluster.url('gateway', '/v1/completions'), {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({
      ...{ model: MODEL, prompt: 'Once upon a time', max_tokens: MAX_TOKENS, temperature: 0.8, seed: 1 },
      ...{ logit_bias, logprobs: 0, stream: true },
    }),
    signal: AbortSignal.timeout(2 * WHOLE_MS),
  });
  const tokens: string[] = [];
  const times: number[] = [];
  let rest = '';
  for await (const bytes of response.body!.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + bytes).split('\n');
    rest = lines.pop()!;
    for (const line of lines.filter((text) => text.startsWith('data: {'))) {
      const { choices, error } = JSON.parse(line.slice('data: '.length)) as Event;
      if (error) throw new Error(error.message);
      for (const token of choices[0]?.logprobs?.tokens ?? []) {
        tokens.push(token);
        times.push(performance.now());
      }
    }
    onTokens(tokens.length);
  }
  return { tokens, times };
}

/** Forbids the tokens that end an answer, so that there is time to break something in the middle of it. */
async function endlessBias(): Promise<Record<string, number>> {
  const file = await GgufFile.open(join(repositoryRoot(), 'models', `${MODEL}.gguf`));
  try {
    return Object.fromEntries(describeModel(file.header).endOfGenerationIds.map((id) => [id, -100]));
  } finally {
    await file.close();
  }
}
