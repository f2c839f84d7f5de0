import { existsSync } from 'node:fs';
import { mkdir, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { GgmlType } from '@pangalactic/models';
import { FaultProxy, readyPipeline, startCluster, writeRandomModel } from '@pangalactic/testing';
import {
  ACTIVATION_FORMATS,
  activationCodec,
  type ActivationFormatName,
  connectNode,
  type NodeClient,
} from '@pangalactic/transport';
import { decodeRate, prefillRate, totalRate } from './rates';
import { median } from './statistics';
import { MODEL_DIRECTORY, TINYLLAMA } from './tinyllama';

/** Six layers of TinyLlama: hidden states as wide as its own, in a tenth of the time. */
const SHAPE = { ...TINYLLAMA, layers: 6, vocabSize: 4_000 };
const MODEL_ID = 'six-layers-q4_0';
const MEGABIT = 1_000_000 / 8;
/** One way, on top of what the bytes take. */
const DELAY_MS = 0.2;
const LINKS = { '1 Gbit/s': 1_000 * MEGABIT, '100 Mbit/s': 100 * MEGABIT, '20 Mbit/s': 20 * MEGABIT };

const PROMPT_TOKENS = 384;
const DECODE_TOKENS = 32;
const STREAMS = 8;
const ROUNDS = 5;

/** Tokens per second. */
interface Rates {
  readonly prefill: number;
  readonly oneStream: number;
  readonly eightStreams: number;
}

/** Two nodes of one thread each whose hidden states travel in one format. */
interface Served {
  readonly format: ActivationFormatName;
  readonly pipelineId: string;
  readonly head: NodeClient;
  setLink(bytesPerSecond: number): void;
  stop(): Promise<void>;
}

interface Cell {
  readonly served: Served;
  readonly link: keyof typeof LINKS;
  readonly rounds: Rates[];
}

/** Prefill and decode rates in each format over links of several speeds, all of them in each round. */
export async function measureActivationFormats(): Promise<object> {
  const names = Object.keys(ACTIVATION_FORMATS) as ActivationFormatName[];
  const conversions = names.map(conversionCost);
  console.table(conversions);
  await ensureModel();
  const formats: Served[] = [];
  try {
    for (const name of names) formats.push(await serve(name));
    const links = Object.keys(LINKS) as Cell['link'][];
    const cells = links.flatMap((link) => formats.map((served): Cell => ({ served, link, rounds: [] })));
    // The first round warms up: the number of micro-batches follows the link.
    for (let round = 0; round <= ROUNDS; round++) for (const cell of cells) cell.rounds.push(await measure(cell));
    const rates = cells.map(({ link, served, rounds }) => ({
      link,
      format: served.format,
      ...medians(rounds.slice(1)),
    }));
    console.table(rates);
    return { conversions, rates };
  } finally {
    for (const served of formats) await served.stop();
  }
}

async function serve(format: ActivationFormatName): Promise<Served> {
  const proxies: FaultProxy[] = [];
  const cluster = await startCluster({
    ...{ nodes: 2, model: MODEL_ID, modelDirectory: MODEL_DIRECTORY, timeoutMs: 120_000 },
    env: { node: { NODE_THREADS: '1', NODE_ACTIVATION_FORMAT: format } },
    advertise: async (address) => {
      const proxy = await FaultProxy.to(address);
      proxies.push(proxy);
      return proxy.address;
    },
  });
  const { id, stages } = readyPipeline(await cluster.view())!.pipeline!;
  const head = connectNode(stages[0]!.address, { clusterToken: undefined });
  return {
    ...{ format, pipelineId: id, head },
    setLink: (bytesPerSecond) => proxies.forEach((proxy) => proxy.change({ delayMs: DELAY_MS, bytesPerSecond })),
    stop: async () => {
      head.close();
      await cluster.stop();
      for (const proxy of proxies) proxy.close();
    },
  };
}

async function measure({ served, link }: Cell): Promise<Rates> {
  served.setLink(LINKS[link]);
  const prefill = prefillRate(PROMPT_TOKENS, await generate(served, PROMPT_TOKENS, 1));
  const oneStream = decodeRate(await generate(served, 8, DECODE_TOKENS));
  const streams = Array.from({ length: STREAMS }, () => generate(served, 8, DECODE_TOKENS));
  return { prefill, oneStream, eightStreams: totalRate(await Promise.all(streams)) };
}

function medians(rounds: readonly Rates[]): Rates {
  const of = (figure: keyof Rates) => Math.round(10 * median(rounds.map((round) => round[figure]))) / 10;
  return { prefill: of('prefill'), oneStream: of('oneStream'), eightStreams: of('eightStreams') };
}

interface ConversionCost {
  readonly format: ActivationFormatName;
  /** Milliseconds per MiB of float32. */
  readonly encodeMs: number;
  readonly decodeMs: number;
}

/** When each token came. The prompts begin differently, so that nothing is reused. */
async function generate({ head, pipelineId }: Served, promptTokens: number, maxTokens: number): Promise<number[]> {
  const promptIds = Array.from(
    { length: promptTokens },
    () => 300 + Math.floor(Math.random() * (SHAPE.vocabSize - 300)),
  );
  const started = performance.now();
  const stream = head.generate(
    {
      ...{ pipelineId, attemptId: 'bench', promptIds, emittedIds: [], maxTokens },
      ...{ sampling: { temperature: 0, topP: 1 }, seed: 1, choiceIndex: 0 },
    },
    { deadlineMs: 120_000 },
  );
  const times: number[] = [];
  for await (const { token } of stream) if (token) times.push(performance.now() - started);
  return times;
}

function conversionCost(format: ActivationFormatName): ConversionCost {
  const codec = activationCodec(ACTIVATION_FORMATS[format]);
  const tokens = 128;
  const hidden = Float32Array.from({ length: tokens * SHAPE.hiddenSize }, () => Math.random() * 8 - 4);
  const bytes = codec.encode(hidden, SHAPE.hiddenSize);
  const timeOf = (convert: () => unknown) => {
    const times = Array.from({ length: 101 }, () => {
      const started = performance.now();
      convert();
      return performance.now() - started;
    });
    return median(times.slice(50));
  };
  return {
    format,
    encodeMs: timeOf(() => codec.encode(hidden, SHAPE.hiddenSize)),
    decodeMs: timeOf(() => codec.decode(bytes, tokens, SHAPE.hiddenSize)),
  };
}

async function ensureModel(): Promise<void> {
  const path = join(MODEL_DIRECTORY, `${MODEL_ID}.gguf`);
  if (existsSync(path)) return;
  await mkdir(MODEL_DIRECTORY, { recursive: true });
  await writeRandomModel(`${path}.part`, SHAPE, { seed: 1, type: GgmlType.Q4_0 });
  await rename(`${path}.part`, path);
}
