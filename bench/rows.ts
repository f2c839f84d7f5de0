import type { LlamaCppPeer } from '@pangalactic/testing';
import type { BareEngine } from './bare-engine';
import { decodeRate, longestGap, prefillRate, totalRate } from './rates';
import { freshPrompt, type ServedModel, type TokenTimes } from './served-model';

/** What the rows measure: the same model served in several ways, and by llama.cpp. */
export interface Subjects {
  readonly peer: LlamaCppPeer;
  readonly engine: BareEngine;
  readonly modelPath: string;
  /** Threads of the whole machine. */
  readonly threads: number;
  readonly oneNode: ServedModel;
  readonly oneNodeOneThread: ServedModel;
  readonly twoNodesOneThread: ServedModel;
}

export interface Row {
  readonly name: string;
  readonly bar: number;
  readonly stretch: number;
  /** Smaller is better. */
  readonly atMost?: true;
  readonly unit: string;
  /** Where more would measure the same. */
  readonly rounds?: number;
  /** Both sides of a ratio are measured in the same round. */
  readonly measure: (subjects: Subjects) => Promise<Round>;
}

export interface Round {
  readonly figure: number;
  /** What the figure was made of. */
  readonly parts: Readonly<Record<string, number>>;
}

const DECODE_PROMPT = 32;
const DECODE_TOKENS = 80;
const STREAMS = 8;

const decode = async (model: ServedModel) =>
  decodeRate(await model.generate(freshPrompt(DECODE_PROMPT), DECODE_TOKENS));
const prefill = async (model: ServedModel, tokens: number) =>
  prefillRate(tokens, await model.generate(freshPrompt(tokens), 1));
const streams = async (model: ServedModel) => {
  const started = performance.now();
  return totalRate(
    await Promise.all(
      Array.from({ length: STREAMS }, async () => {
        const offset = performance.now() - started;
        const times = await model.generate(freshPrompt(DECODE_PROMPT), DECODE_TOKENS);
        return times.map((time) => time + offset);
      }),
    ),
  );
};

function ratio(parts: Record<string, number>, over: string, under: string): Round {
  return { figure: parts[over]! / parts[under]!, parts };
}

export const ROWS: readonly Row[] = [
  {
    ...{ name: 'decode, 1 stream, 1 node, vs llama.cpp', bar: 0.85, stretch: 1, unit: 'ratio' },
    measure: async ({ peer, modelPath, threads, oneNode }) => {
      const ours = await decode(oneNode);
      const theirs = decodeRate(await peer.measure(modelPath, freshPrompt(DECODE_PROMPT), DECODE_TOKENS, threads));
      return ratio({ ours, 'llama.cpp': theirs }, 'ours', 'llama.cpp');
    },
  },
  {
    ...{ name: 'prefill 512, 1 node, vs llama.cpp', bar: 0.85, stretch: 1, unit: 'ratio' },
    measure: async ({ peer, modelPath, threads, oneNode }) => {
      const ours = await prefill(oneNode, 512);
      const theirs = prefillRate(512, await peer.measure(modelPath, freshPrompt(512), 1, threads));
      return ratio({ ours, 'llama.cpp': theirs }, 'ours', 'llama.cpp');
    },
  },
  {
    ...{ name: '8 streams vs 1 stream, 1 node, total tokens/s', bar: 2.8, stretch: 3.3, unit: 'ratio' },
    measure: async ({ oneNode }) =>
      ratio({ eight: await streams(oneNode), one: await decode(oneNode) }, 'eight', 'one'),
  },
  {
    ...{ name: '1 stream, 2 nodes x 1 thread vs 1 node x 1 thread', bar: 0.93, stretch: 0.96, unit: 'ratio' },
    measure: async ({ oneNodeOneThread, twoNodesOneThread }) =>
      ratio({ two: await decode(twoNodesOneThread), one: await decode(oneNodeOneThread) }, 'two', 'one'),
  },
  {
    ...{ name: '8 streams, 2 nodes x 1 thread vs 1 node x 1 thread', bar: 1.25, stretch: 1.55, unit: 'ratio' },
    measure: async ({ oneNodeOneThread, twoNodesOneThread }) =>
      ratio({ two: await streams(twoNodesOneThread), one: await streams(oneNodeOneThread) }, 'two', 'one'),
  },
  {
    ...{ name: 'prefill 512, 2 nodes x 1 thread vs 1 node x 1 thread', bar: 1.4, stretch: 1.65, unit: 'ratio' },
    measure: async ({ oneNodeOneThread, twoNodesOneThread }) =>
      ratio({ two: await prefill(twoNodesOneThread, 512), one: await prefill(oneNodeOneThread, 512) }, 'two', 'one'),
  },
  {
    ...{ name: 'time to first token, turn 2 / turn 1 (1,000 tokens)', bar: 0.1, stretch: 0.05, unit: 'ratio' },
    atMost: true,
    measure: async ({ oneNode }) => {
      const prompt = freshPrompt(1000);
      const [first] = await oneNode.generate(prompt, 1);
      const [second] = await oneNode.generate([...prompt, ...freshPrompt(32)], 1);
      return ratio({ 'turn 2 ms': second!, 'turn 1 ms': first! }, 'turn 2 ms', 'turn 1 ms');
    },
  },
  {
    ...{ name: 'longest wait of running streams while 2,000 tokens prefill', bar: 400, stretch: 250, unit: 'ms' },
    atMost: true,
    measure: async ({ oneNode }) => (await underPrefill(oneNode)).wait,
  },
  {
    ...{ name: 'prefill rate kept while streams run', bar: 0.75, stretch: 0.85, unit: 'ratio' },
    measure: async ({ oneNode }) => (await underPrefill(oneNode)).kept,
  },
  {
    ...{ name: 'decode through the gateway vs the bare engine', bar: 0.95, stretch: 0.98, unit: 'ratio' },
    measure: async ({ oneNode, engine }) => {
      await engine.prefill(1, DECODE_PROMPT);
      const bare = await engine.decode(DECODE_TOKENS);
      const { times, tokens } = await oneNode.complete(freshPrompt(DECODE_PROMPT), DECODE_TOKENS);
      if (tokens !== DECODE_TOKENS) throw new Error(`the gateway counted ${tokens} tokens instead of ${DECODE_TOKENS}`);
      return ratio({ gateway: ((tokens - 1) / (times.at(-1)! - times[0]!)) * 1000, bare }, 'gateway', 'bare');
    },
  },
  {
    ...{ name: 'anonymous memory over the ledger, beyond 150 MB', bar: 1.15, stretch: 1.05, unit: 'ratio' },
    ...{ atMost: true, rounds: 1 },
    measure: async ({ oneNode }) => {
      // Memory of the KV cache is taken when it is first written.
      const { contextLength, maxSequences } = oneNode.pipeline;
      const full = () => oneNode.generate(freshPrompt(contextLength - 1), 1);
      await Promise.all(Array.from({ length: maxSequences }, full));
      const [used, ledger] = [oneNode.anonymousBytes() / 1e6, oneNode.ledgerBytes / 1e6];
      return { figure: (used - 150) / ledger, parts: { 'used MB': used, 'ledger MB': ledger } };
    },
  },
];

/** Two streams decode; a long prompt arrives among them. */
async function underPrefill(model: ServedModel) {
  const alone = await prefill(model, 2000);
  const started = performance.now();
  const running: Promise<TokenTimes>[] = [1, 2].map(() => model.generate(freshPrompt(DECODE_PROMPT), 200));
  await Promise.all([1, 2].map(() => model.generate(freshPrompt(2), 1)));
  const from = performance.now() - started;
  const among = await prefill(model, 2000);
  const to = performance.now() - started;
  const waits = (await Promise.all(running)).map((times) => longestGap(times, from, to));
  return {
    wait: { figure: Math.max(...waits), parts: { 'longest ms': Math.max(...waits) } },
    kept: ratio({ among, alone }, 'among', 'alone'),
  };
}
