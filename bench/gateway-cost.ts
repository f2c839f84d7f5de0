import { startCluster, type TestCluster } from '@pangalactic/testing';
import { connectHub } from '@pangalactic/transport';
import { cpuSeconds } from './cpu-time';
import { median } from './statistics';
import { streamCompletion, type StreamedCompletion } from './stream-client';

const MODEL = 'pangalactic-nano';
const CONTEXT = 512;
const MAX_TOKENS = 400;
const STREAMS = [1, 8, 64, 1_000];
const TOKENS_PER_ROUND = 20_000;
const START_MS = 60_000;
/** CPU time of one token in milliseconds. */
const BAR_MS = 0.15;
const STRETCH_MS = 0.05;

interface Cost {
  readonly streams: number;
  readonly tokensPerSecond: number;
  /** CPU time of a token in the process, on all its threads. */
  readonly gatewayMs: number;
  readonly nodeMs: number;
  /** Of the pieces of text that a stream alone brings. */
  readonly piecesLost: number;
  readonly reached: 'stretch' | 'bar' | 'no';
}

type Round = Pick<Cost, 'tokensPerSecond' | 'gatewayMs' | 'nodeMs' | 'piecesLost'>;

/** What a streamed token costs a gateway: a model without weights answers at once, so that nothing but the way is left. */
export async function measureGatewayCost(rounds: number): Promise<object> {
  const cluster = await startCluster({
    ...{ nodes: 1, serves: false, timeoutMs: START_MS, model: 'none-yet' },
    env: { node: { NODE_INFERENCE_BACKEND: 'mock' }, gateway: { LOG_LEVEL: 'warn' } },
  });
  try {
    await load(cluster);
    const { pieces } = await complete(cluster);
    const costs: Cost[] = [];
    for (const streams of STREAMS)
      costs.push(await costOf(streams, rounds, () => measureRound(streams, pieces, cluster)));
    console.table(costs);
    return { costs };
  } finally {
    await cluster.stop();
  }
}

async function load(cluster: TestCluster): Promise<void> {
  const hub = connectHub(cluster.layout.hubAddress, { clusterToken: undefined });
  const maxSequences = Math.max(...STREAMS);
  await hub.loadModel(
    { modelId: MODEL, onRequest: false, contextLength: CONTEXT, maxSequences, pins: [] },
    { deadlineMs: START_MS },
  );
  hub.close();
  await cluster.untilServing(START_MS);
}

/** The first round warms up and does not count. */
async function costOf(streams: number, rounds: number, measure: () => Promise<Round>): Promise<Cost> {
  const measured: Round[] = [];
  for (let round = 0; round <= rounds; round += 1) measured.push(await measure());
  const of = (figure: keyof Round) => median(measured.slice(1).map((round) => round[figure]));
  const [tokensPerSecond, gatewayMs, nodeMs] = [of('tokensPerSecond'), of('gatewayMs'), of('nodeMs')];
  const piecesLost = measured.reduce((sum, round) => sum + round.piecesLost, 0);
  const within = (limitMs: number) => piecesLost === 0 && gatewayMs <= limitMs;
  const reached = within(STRETCH_MS) ? 'stretch' : within(BAR_MS) ? 'bar' : 'no';
  return { streams, tokensPerSecond, gatewayMs, nodeMs, piecesLost, reached };
}

/** @param pieces of one completion */
async function measureRound(streams: number, pieces: number, cluster: TestCluster): Promise<Round> {
  const turns = Math.ceil(TOKENS_PER_ROUND / MAX_TOKENS / streams);
  const tokens = streams * turns * MAX_TOKENS;
  const cpu = (name: string) => cpuSeconds(cluster.process(name).pid);
  const [since, gateway, node] = [performance.now(), cpu('gateway'), cpu('node-1')];
  let received = 0;
  const stream = async () => {
    for (let turn = 0; turn < turns; turn += 1) {
      const completion = await complete(cluster);
      received += completion.pieces;
    }
  };
  await Promise.all(Array.from({ length: streams }, stream));
  return {
    tokensPerSecond: (tokens / (performance.now() - since)) * 1000,
    gatewayMs: ((cpu('gateway') - gateway) / tokens) * 1000,
    nodeMs: ((cpu('node-1') - node) / tokens) * 1000,
    piecesLost: streams * turns * pieces - received,
  };
}

/** The same answer for everybody. */
function complete(cluster: TestCluster): Promise<StreamedCompletion> {
  const body = { model: MODEL, prompt: 'Tell me a story about a dog.', max_tokens: MAX_TOKENS, temperature: 0 };
  return streamCompletion(cluster.url('gateway', '/v1/completions'), body);
}
