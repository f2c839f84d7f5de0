import { randomInt } from 'node:crypto';
import type { PipelineView } from '@pangalactic/contracts';
import { FaultProxy, seededRandom, startCluster, until, type TestCluster } from '@pangalactic/testing';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Question } from '../cluster/openai-client';
import { openingQuestions } from '../soak/questions';
import { exchange, type Outcome } from './exchange';
import { drawFault, inflict, ROLES, type Fault, type Role } from './faults';

const NIGHTLY = process.env.PANGALACTIC_NIGHTLY === '1';
const ROUNDS = NIGHTLY ? 100 : Infinity;
const DURATION_MS = NIGHTLY ? Infinity : 45_000;
/** A printed seed, given here, draws the same faults, questions and moments again. */
const SEED = Number(process.env.PANGALACTIC_CHAOS_SEED ?? randomInt(2 ** 31));
/** Weights that float32 holds exactly: every answer must equal its answer without a fault. */
const MODEL = 'pangalactic-nano-f16';
const STAGES = 3;
/** At once; more than a pipeline has slots in some rounds. */
const MOST_REQUESTS = 10;
const HEALED_MS = 30_000;

let cluster: TestCluster;
const proxies = new Map<string, FaultProxy>();
/** The answers without any fault. */
const undisturbed = new Map<Question, Outcome>();

const endpoint = () => cluster.url('gateway', '/v1/chat/completions');
const resumes = () => cluster.metric('gateway', 'pangalactic_request_resumes_total');
const nodeMetrics = (metric: string) => Promise.all(cluster.nodeNames.map((name) => cluster.metric(name, metric)));

beforeAll(async () => {
  cluster = await startCluster({
    ...{ nodes: STAGES + 1, stages: STAGES, model: MODEL },
    env: { hub: { HUB_HEARTBEAT_TIMEOUT_S: '3' } },
    advertise: async (address) => {
      const proxy = await FaultProxy.to(address);
      proxies.set(address, proxy);
      return proxy.address;
    },
  });
  for (const question of openingQuestions()) {
    undisturbed.set(question, await exchange(endpoint(), MODEL, question, true));
  }
});

afterAll(async () => {
  await cluster?.stop();
  for (const proxy of proxies.values()) proxy.close();
});

function nodeOf(role: Role, { pipeline }: PipelineView): string {
  const stages = pipeline?.stages.map(({ nodeId }) => nodeId) ?? [];
  return stages[ROLES.indexOf(role)] ?? cluster.nodeNames.find((name) => !stages.includes(name))!;
}

function proxyOf(node: string): FaultProxy {
  const { NODE_BIND_ADDR } = cluster.layout.nodes.find(({ name }) => name === node)!.env;
  return proxies.get(NODE_BIND_ADDR!)!;
}

/** Nothing of the round is left anywhere. */
async function untilHealed(): Promise<PipelineView> {
  const serving = await cluster.untilWhole(HEALED_MS);
  for (const metric of ['slots_in_use', 'sequences_running', 'sequences_waiting']) {
    const isZero = async () => (await nodeMetrics(`pangalactic_node_${metric}`)).every((value) => value === 0);
    await until(isZero, { timeoutMs: HEALED_MS, message: `${metric} is 0 on every node` });
  }
  return serving;
}

interface Round {
  readonly role: Role;
  readonly fault: Fault;
  readonly asked: readonly { readonly question: Question; readonly stream: boolean }[];
  /** Pieces of text that have arrived by the time of the fault. */
  readonly strikeAfter: number;
}

function drawRound(random: () => number): Round {
  const { role, fault } = drawFault(random);
  const questions = [...undisturbed.keys()];
  const asked = Array.from({ length: 1 + Math.floor(random() * MOST_REQUESTS) }, () => ({
    question: questions[Math.floor(random() * questions.length)]!,
    stream: random() < 0.8,
  }));
  return { role, fault, asked, strikeAfter: Math.floor(random() * 40 * asked.length) };
}

async function playRound({ role, fault, asked, strikeAfter }: Round): Promise<string> {
  const node = nodeOf(role, await untilHealed());
  let pieces = 0;
  let strike = () => {};
  const moment = new Promise<void>((resolve) => (strike = resolve));
  const answered = Promise.all(
    asked.map(async ({ question, stream }) => {
      const expected = undisturbed.get(question)!;
      const outcome = await exchange(endpoint(), MODEL, question, stream, (text) => {
        if (!expected.text.startsWith(text)) throw new Error(`"${text}" is not how "${expected.text}" begins`);
        pieces += 1;
        if (pieces >= strikeAfter) strike();
      });
      return { outcome, expected };
    }),
  );
  const broken = moment.then(() =>
    inflict(
      fault,
      cluster,
      node,
      proxyOf(node),
      answered.catch(() => undefined),
    ),
  );
  const answers = await answered.finally(strike);
  await broken;
  for (const { outcome, expected } of answers) {
    const { status, text, terminalEvents } = outcome;
    expect({ status, text, terminalEvents }).toEqual({
      ...{ status: 200, text: expected.text, terminalEvents: expected.terminalEvents },
    });
    expect(outcome.usage).toMatchObject(completionTokensOf(expected));
  }
  return `${role} (${node}) ${JSON.stringify(fault)} among ${asked.length} requests`;
}

function completionTokensOf({ usage }: Outcome): object {
  const { prompt_tokens, completion_tokens } = usage as Record<string, number>;
  return { prompt_tokens, completion_tokens };
}

it('answers without a head that is frozen all the while, and the node serves again when it thaws', async () => {
  const longest = [...undisturbed.keys()].filter(({ maxTokens }) => maxTokens === 100);
  const midway = { asked: longest.map((question) => ({ question, stream: true })), strikeAfter: 20 };
  const frozen = nodeOf('head', await untilHealed());
  const before = await resumes();
  await playRound({ role: 'head', fault: { kind: 'freeze', forMs: 'until answered' }, ...midway });
  expect(await resumes()).toBeGreaterThan(before);
  // Without the spare node there is no pipeline any more, and the spare node is the one that was frozen.
  expect(nodeOf('spare', await untilHealed())).toBe(frozen);
  await playRound({ role: 'middle', fault: { kind: 'kill', restart: 'afterwards' }, ...midway });
  await untilHealed();
}, 120_000);

it(
  `answers every request as if nothing happened (seed ${SEED})`,
  async () => {
    for (const { terminalEvents } of undisturbed.values()) expect(terminalEvents).toHaveLength(1);
    const resumesBefore = await resumes();
    const startedAt = performance.now();
    const rounds: string[] = [];
    while (rounds.length < ROUNDS && performance.now() - startedAt < DURATION_MS) {
      const seed = (SEED + rounds.length) % 2 ** 31;
      const roundStartedAt = performance.now();
      const round = await playRound(drawRound(seededRandom(seed))).catch((error: unknown) => {
        throw new Error(`round ${rounds.length} with PANGALACTIC_CHAOS_SEED=${seed} failed`, { cause: error });
      });
      rounds.push(`${round}: ${((performance.now() - roundStartedAt) / 1_000).toFixed(1)} s`);
    }
    await untilHealed();
    const resumed = (await resumes()) - resumesBefore;
    console.info(`chaos: seed ${SEED}, ${rounds.length} rounds, ${resumed} resumes\n${rounds.join('\n')}`);
    expect(rounds.length).toBeGreaterThan(5);
    expect(resumed).toBeGreaterThan(0);
  },
  NIGHTLY ? 3_600_000 : DURATION_MS + 120_000,
);
