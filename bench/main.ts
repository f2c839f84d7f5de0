import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { repositoryRoot } from '@pangalactic/contracts';
import { TransformersProvider } from '@pangalactic/inference';
import { GgmlType, inspectModel } from '@pangalactic/models';
import { writeRandomModel, type RandomModelShape } from '@pangalactic/testing';
import { Command } from 'commander';
import { benchEngine, type EngineBenchOptions } from './engine-bench';
import { describeMachine } from './machine';

interface Scenario {
  readonly name: string;
  readonly shape: RandomModelShape;
  readonly options: Omit<EngineBenchOptions, 'vocabularySize'>;
}

/** Proves in seconds that the bench works; its numbers say little. */
const SMOKE: Scenario = {
  name: 'engine-smoke',
  shape: {
    layers: 4,
    hiddenSize: 512,
    feedForwardSize: 1408,
    heads: 8,
    kvHeads: 2,
    headSize: 64,
    vocabSize: 4096,
    tiedEmbeddings: false,
    contextLength: 1024,
  },
  options: { rounds: 3, promptTokens: 256, decodeTokens: 32, streams: [1, 8] },
};

/** The shape of TinyLlama 1.1B. */
const FULL: Scenario = {
  name: 'engine-1.1b',
  shape: {
    layers: 22,
    hiddenSize: 2048,
    feedForwardSize: 5632,
    heads: 32,
    kvHeads: 4,
    headSize: 64,
    vocabSize: 32_000,
    tiedEmbeddings: false,
    contextLength: 2048,
  },
  options: { rounds: 5, promptTokens: 512, decodeTokens: 32, streams: [1, 8] },
};

interface Flags {
  readonly smoke?: true;
  readonly threads: string;
}

async function main(): Promise<void> {
  const flags = new Command('npm run bench --')
    .description('Prefill and decode rates of one engine on a generated Q4_0 model, through the inference port.')
    .option('--smoke', 'a small model, a few seconds')
    .option('--threads <count>', 'threads of the engine', String(availableParallelism()))
    .parse()
    .opts<Flags>();
  const scenario = flags.smoke ? SMOKE : FULL;
  const threads = Number(flags.threads);

  const machine = describeMachine();
  console.log(
    Object.entries({ ...machine, threads })
      .map(([key, value]) => `${key}: ${value}`)
      .join('\n'),
  );
  const rates = await measure(scenario, threads);
  for (const { name, tokensPerSecond, spread } of rates) {
    console.log(
      `${name.padEnd(20)} ${tokensPerSecond.toFixed(1).padStart(9)} tokens/s  +- ${(spread * 100).toFixed(0)} %`,
    );
  }

  const folder = join(repositoryRoot(), 'bench', 'results');
  await mkdir(folder, { recursive: true });
  const path = join(folder, `${scenario.name}.local.json`);
  await writeFile(path, `${JSON.stringify({ scenario, threads, machine, rates }, null, 2)}\n`);
  console.log(`written to ${path}`);
}

async function measure({ shape, options }: Scenario, threads: number) {
  const folder = await mkdtemp(join(tmpdir(), 'pangalactic-bench-'));
  const modelPath = join(folder, 'random.gguf');
  try {
    await writeRandomModel(modelPath, shape, { seed: 1, type: GgmlType.Q4_0 });
    const provider = await TransformersProvider.create({ threads, cacheDir: join(folder, 'cache') });
    const { fingerprint } = await inspectModel('random', modelPath);
    const shard = await provider.load(
      {
        modelPath,
        fingerprint,
        layers: { from: 0, to: shape.layers },
        contextLength: options.promptTokens + options.decodeTokens,
        maxSequences: Math.max(...options.streams),
      },
      () => undefined,
    );
    console.log(`memory: ${(shard.memoryBytes / 1024 ** 2).toFixed(0)} MiB`);
    const rates = await benchEngine(shard, { ...options, vocabularySize: shape.vocabSize });
    await provider.close();
    return rates;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

main().catch((error: unknown) => {
  process.exitCode = 1;
  console.error(error);
});
