import { join } from 'node:path';
import { type Shard, TransformersProvider } from '@pangalactic/inference';
import { inspectModel } from '@pangalactic/models';
import { EngineDriver } from './engine-driver';
import { MODEL_DIRECTORY, TINYLLAMA } from './tinyllama';

/** The generated model in an engine of this process: no gRPC, no head, no gateway. */
export class BareEngine {
  private readonly driver: EngineDriver;

  private constructor(
    private readonly provider: TransformersProvider,
    shard: Shard,
  ) {
    this.driver = new EngineDriver(shard, TINYLLAMA.vocabSize);
  }

  static async load(modelPath: string, threads: number): Promise<BareEngine> {
    const provider = await TransformersProvider.create({ threads, cacheDir: join(MODEL_DIRECTORY, '../cache') });
    const { fingerprint } = await inspectModel('bench', modelPath);
    const { layers, contextLength } = TINYLLAMA;
    const spec = { modelPath, fingerprint, layers: { from: 0, to: layers }, contextLength, maxSequences: 8 };
    return new BareEngine(provider, await provider.load(spec, () => undefined));
  }

  /** @returns tokens per second of one stream after a prompt of so many tokens */
  async decode(promptTokens: number, tokens: number): Promise<number> {
    await this.driver.prefill(1, promptTokens);
    const started = performance.now();
    for (let token = 0; token < tokens; token += 1) await this.driver.decodeStep();
    return (tokens / (performance.now() - started)) * 1000;
  }

  async close(): Promise<void> {
    await this.provider.close();
  }
}
