import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { TransformersProvider } from '@pangalactic/inference';
import { GgmlType, inspectModel } from '@pangalactic/models';
import { type RandomModelShape, writeRandomModel } from '@pangalactic/testing';
import { engineRates, type Rate } from './engine-rates';

const SHAPE: RandomModelShape = {
  layers: 4,
  hiddenSize: 512,
  feedForwardSize: 1408,
  heads: 8,
  kvHeads: 2,
  headSize: 64,
  vocabSize: 4096,
  tiedEmbeddings: false,
  contextLength: 1024,
};
const OPTIONS = { rounds: 3, promptTokens: 256, decodeTokens: 32, streams: [1, 8] };

/** Prefill and decode of one engine through the inference port: proves in seconds that it runs, says little of speed. */
export async function smoke(threads: number): Promise<Rate[]> {
  const folder = await mkdtemp(join(tmpdir(), 'pangalactic-bench-'));
  const modelPath = join(folder, 'random.gguf');
  try {
    await writeRandomModel(modelPath, SHAPE, { seed: 1, type: GgmlType.Q4_0 });
    const provider = await TransformersProvider.create({ threads, cacheDir: join(folder, 'cache') });
    const { fingerprint } = await inspectModel('random', modelPath);
    const spec = {
      ...{ modelPath, fingerprint, layers: { from: 0, to: SHAPE.layers } },
      ...{ contextLength: OPTIONS.promptTokens + OPTIONS.decodeTokens, maxSequences: Math.max(...OPTIONS.streams) },
    };
    const shard = await provider.load(spec, () => undefined);
    const rates = await engineRates(shard, { ...OPTIONS, vocabularySize: SHAPE.vocabSize });
    await provider.close();
    for (const { name, tokensPerSecond, spread } of rates) {
      console.log(
        `${name.padEnd(20)} ${tokensPerSecond.toFixed(1).padStart(9)} tokens/s  +- ${(spread * 100).toFixed(0)} %`,
      );
    }
    return rates;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
