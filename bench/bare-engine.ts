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

  /** @param options of the provider, beside the threads */
  static async load(modelPath: string, threads: number, options: { profilePrefix?: string } = {}): Promise<BareEngine> {
    const cacheDir = join(MODEL_DIRECTORY, '../cache');
    const provider = await TransformersProvider.create({ threads, cacheDir, ...options });
    const { fingerprint } = await inspectModel('bench', modelPath);
    const { layers, contextLength } = TINYLLAMA;
    const spec = { modelPath, fingerprint, layers: { from: 0, to: layers }, contextLength, maxSequences: 8 };
    return new BareEngine(provider, await provider.load(spec, () => undefined));
  }

  async prefill(streams: number, promptTokens: number): Promise<void> {
    await this.driver.prefill(streams, promptTokens);
  }

  /** @returns steps per second, each of one token for every stream that was prefilled */
  async decode(steps: number): Promise<number> {
    const started = performance.now();
    for (let step = 0; step < steps; step += 1) await this.driver.decodeStep();
    return (steps / (performance.now() - started)) * 1000;
  }

  async close(): Promise<void> {
    await this.provider.close();
  }
}
