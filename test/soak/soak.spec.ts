import { randomInt } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { seededRandom, startCluster, type TestCluster, until } from '@pangalactic/testing';
import type OpenAI from 'openai';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Answer, ask, openaiClient, type Question } from '../cluster/openai-client';
import { nextTurn, openingQuestions } from './questions';

const NIGHTLY = process.env.PANGALACTIC_NIGHTLY === '1';
const DURATION_MS = NIGHTLY ? 600_000 : 45_000;
const SEED = Number(process.env.PANGALACTIC_SOAK_SEED ?? randomInt(2 ** 31));
/** Weights that float32 holds exactly, so that every answer must equal its answer alone. */
const MODEL = 'pangalactic-nano-f16';
/** More than the eight slots: some wait in the queue. */
const CLIENTS = 12;
/** Until then caches fill and code is compiled. */
const WARM_UP_MS = DURATION_MS / 3;

interface Exchange {
  readonly question: Question;
  readonly answer: Answer;
}

let cluster: TestCluster;
let client: OpenAI;
let exchanges: Exchange[];

/** One after the other, so that each has the cluster to itself. */
async function askAlone(target: OpenAI, questions: readonly Question[]): Promise<Exchange[]> {
  const answered: Exchange[] = [];
  for (const question of questions) answered.push({ question, answer: await ask(target, MODEL, question) });
  return answered;
}

beforeAll(async () => {
  // Another cluster answers the first turns: on this one a next turn, asked alone, then finds nothing to go on from.
  const single = await startCluster({ nodes: 1, model: MODEL });
  const openings = await askAlone(openaiClient(single), openingQuestions()).finally(() => single.stop());
  cluster = await startCluster({ nodes: 3, model: MODEL });
  client = openaiClient(cluster);
  const nextTurns = openings.map(({ question, answer }, index) => nextTurn(question, answer.text, index));
  exchanges = [...openings, ...(await askAlone(client, nextTurns))];
});

afterAll(() => cluster?.stop());

/** Reads a few chunks of an answer and disconnects. */
async function askAndLeave(question: Question, chunks: number): Promise<void> {
  const { messages, temperature, seed, maxTokens: max_tokens } = question;
  const stream = await client.chat.completions.create({
    ...{ model: MODEL, messages, temperature, seed, max_tokens, stream: true },
  });
  let left = chunks;
  for await (const _ of stream) if (left-- <= 0) break;
}

const nodeMetrics = (metric: string) => Promise.all(cluster.nodeNames.map((name) => cluster.metric(name, metric)));
const nodeTotal = async (metric: string) => (await nodeMetrics(metric)).reduce((sum, value) => sum + value, 0);

it(
  `stays sound for ${DURATION_MS / 1_000} s of random arrivals and cancellations (seed ${SEED})`,
  async () => {
    const random = seededRandom(SEED);
    const integer = (below: number) => Math.floor(random() * below);
    const counts = { finished: 0, cancelled: 0 };
    const wrong: { question: Question; expected: Answer; answer: Answer }[] = [];
    const endsAt = performance.now() + DURATION_MS;

    const askOnce = async () => {
      const { question, answer: expected } = exchanges[integer(exchanges.length)]!;
      if (random() < 0.25) {
        await askAndLeave(question, integer(20));
        counts.cancelled += 1;
        return;
      }
      const answer = await ask(client, MODEL, question);
      counts.finished += 1;
      if (JSON.stringify(answer) !== JSON.stringify(expected)) wrong.push({ question, expected, answer });
    };
    const clients = Array.from({ length: CLIENTS }, async () => {
      while (performance.now() < endsAt) {
        await askOnce();
        await delay(integer(300));
      }
    });
    const warm = delay(WARM_UP_MS).then(() => nodeMetrics('process_resident_memory_bytes'));
    await Promise.all(clients);
    console.info(`soak: seed ${SEED}, ${JSON.stringify(counts)}`);

    expect(wrong).toEqual([]);
    expect(counts.finished).toBeGreaterThan(DURATION_MS / 2_000);
    expect(counts.cancelled).toBeGreaterThan(0);
    const [cached = 0, prompt = 0] = await Promise.all(
      ['cached_prompt_tokens_total', 'prompt_tokens_total'].map((name) => nodeTotal(`pangalactic_node_${name}`)),
    );
    expect(cached / prompt).toBeGreaterThan(0.3);
    for (const metric of ['slots_in_use', 'sequences_running', 'sequences_waiting']) {
      const isZero = async () => (await nodeMetrics(`pangalactic_node_${metric}`)).every((value) => value === 0);
      await until(isZero, { timeoutMs: 10_000, message: () => `${metric} is 0 on every node` });
    }
    const after = await nodeMetrics('process_resident_memory_bytes');
    for (const [index, bytes] of (await warm).entries()) expect(after[index]).toBeLessThan(bytes * 1.25 + 32 * 2 ** 20);
  },
  DURATION_MS + 60_000,
);
