import { join, resolve } from 'node:path';
import type { InferenceProvider, Shard, ShardSpec } from '../inference-provider';
import { WeightCache } from './compiler/weight-cache';
import { inPlaceKvFailure } from './engine/self-check';
import { WorkerShard } from './worker-shard';

export interface TransformersOptions {
  /** Intra-operator threads of each shard. */
  readonly threads: number;
  /** Folder of compiled weights, shared by all shards and, if need be, by several processes. */
  readonly cacheDir: string;
  /** The compiled engine-worker.js; tests that run from sources name the one in dist/. */
  readonly workerFile?: string;
  readonly onWarning?: (message: string) => void;
  /** Has the time of every operator written to a JSON file of this prefix when a shard is unloaded. */
  readonly profilePrefix?: string;
}

/** Real inference on onnxruntime-node. */
export class TransformersProvider implements InferenceProvider {
  readonly backend = 'transformers';
  private readonly shards = new Set<WorkerShard>();

  private constructor(
    private readonly options: TransformersOptions,
    private readonly inPlace: boolean,
  ) {}

  static async create(
    options: TransformersOptions,
    selfCheck: () => Promise<string | undefined> = inPlaceKvFailure,
  ): Promise<TransformersProvider> {
    const failure = await selfCheck();
    if (failure !== undefined) {
      options.onWarning?.(
        `onnxruntime cannot update the KV cache in place (${failure}): it is copied, and decoding is slower at long contexts`,
      );
    }
    await new WeightCache(options.cacheDir).sweep();
    return new TransformersProvider(options, failure === undefined);
  }

  async load(spec: ShardSpec, onProgress: (fraction: number) => void, signal?: AbortSignal): Promise<Shard> {
    const { threads, cacheDir, profilePrefix, workerFile = join(__dirname, 'engine-worker.js') } = this.options;
    const options = { threads, cacheDir: resolve(cacheDir), inPlace: this.inPlace, profilePrefix };
    const shard = await WorkerShard.start(workerFile, { spec, options }, onProgress, signal);
    this.shards.add(shard);
    void shard.exited.then(() => this.shards.delete(shard));
    return shard;
  }

  async close(): Promise<void> {
    await Promise.all([...this.shards].map((shard) => shard.unload()));
  }
}
