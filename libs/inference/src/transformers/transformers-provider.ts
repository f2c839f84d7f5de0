import { join, resolve } from 'node:path';
import type { InferenceProvider, Shard, ShardSpec } from '../inference-provider';
import { inPlaceKvWorks } from './engine/self-check';
import { WorkerShard } from './worker-shard';

export interface TransformersOptions {
  /** Intra-operator threads of each shard. */
  readonly threads: number;
  /** Folder of compiled weights, shared by all shards and, if need be, by several processes. */
  readonly cacheDir: string;
  /** The compiled engine-worker.js; tests that run from sources name the one in dist/. */
  readonly workerFile?: string;
  readonly onWarning?: (message: string) => void;
}

/** Real inference on onnxruntime-node. */
export class TransformersProvider implements InferenceProvider {
  readonly backend = 'transformers';
  private readonly shards = new Set<WorkerShard>();

  private constructor(
    private readonly options: TransformersOptions,
    private readonly sentinel: boolean,
  ) {}

  static async create(options: TransformersOptions): Promise<TransformersProvider> {
    const sentinel = await inPlaceKvWorks();
    if (!sentinel) {
      options.onWarning?.('the in-place KV self-check failed: outputs are copied, decoding is slower at long contexts');
    }
    return new TransformersProvider(options, sentinel);
  }

  async load(spec: ShardSpec, onProgress: (fraction: number) => void, signal?: AbortSignal): Promise<Shard> {
    const { threads, cacheDir, workerFile = join(__dirname, 'engine-worker.js') } = this.options;
    const options = { threads, cacheDir: resolve(cacheDir), sentinel: this.sentinel };
    const shard = await WorkerShard.start(workerFile, { spec, options }, onProgress, signal);
    this.shards.add(shard);
    void shard.exited.then(() => this.shards.delete(shard));
    return shard;
  }

  async close(): Promise<void> {
    await Promise.all([...this.shards].map((shard) => shard.unload()));
  }
}
