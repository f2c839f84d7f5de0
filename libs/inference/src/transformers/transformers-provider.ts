import { resolve } from 'node:path';
import type { InferenceProvider, Shard, ShardSpec } from '../inference-provider';
import { WeightCache } from './compiler/weight-cache';
import type { Device } from './engine/graph-session';
import { inPlaceKvFailure } from './engine/self-check';
import type { EngineOptions } from './engine/shard-engine';
import { type EngineHost, startProcess, startThread } from './engine-host';
import { requireGpu } from './require-gpu';
import { RemoteShard } from './remote-shard';

export interface TransformersOptions {
  readonly device?: Device;
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
  private readonly shards = new Set<RemoteShard>();

  private constructor(
    private readonly options: TransformersOptions,
    private readonly found: Pick<EngineOptions, 'inPlace' | 'maxRunTokens'>,
  ) {}

  /** @throws PangalacticError `unsupported_compute_type` when there is no GPU that computes as it should */
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
    const gpu = options.device === 'gpu' ? await requireGpu(options) : {};
    await new WeightCache(options.cacheDir).sweep();
    return new TransformersProvider(options, { inPlace: failure === undefined, ...gpu });
  }

  async load(spec: ShardSpec, onProgress: (fraction: number) => void, signal?: AbortSignal): Promise<Shard> {
    signal?.throwIfAborted();
    const { device = 'cpu', threads, cacheDir, profilePrefix } = this.options;
    const options = { device, threads, cacheDir: resolve(cacheDir), profilePrefix, ...this.found };
    const shard = await RemoteShard.load(this.startEngine(), { spec, options }, onProgress, signal);
    this.shards.add(shard);
    void shard.ended.then(() => this.shards.delete(shard));
    return shard;
  }

  async close(): Promise<void> {
    await Promise.all([...this.shards].map((shard) => shard.unload()));
  }

  private startEngine(): EngineHost {
    const { device, workerFile, onWarning } = this.options;
    return device === 'gpu' ? startProcess(workerFile, onWarning) : startThread(workerFile);
  }
}
