import { setTimeout as delay } from 'node:timers/promises';
import { describeModel, readGgufHeader } from '@pangalactic/models';
import { PangalacticError } from '@pangalactic/contracts';
import type { InferenceProvider, Shard, ShardSpec } from '../inference-provider';
import { MockShard, type MockOptions } from './mock-shard';

/**
 * The provider port without weights, for tests and simulation of everything around inference. It reads a model's header
 * for its sizes; its tokens are a hash of all tokens before them.
 */
export class MockProvider implements InferenceProvider {
  readonly backend = 'mock';
  private readonly shards = new Set<Shard>();

  constructor(private readonly options: MockOptions = { layerDelayMs: 0 }) {}

  async load(spec: ShardSpec, onProgress: (fraction: number) => void, signal?: AbortSignal): Promise<Shard> {
    const model = describeModel((await readGgufHeader(spec.modelPath)).header);
    const { from, to } = spec.layers;
    if (!(from >= 0 && from < to && to <= model.layers)) {
      throw new PangalacticError('invalid_request', `layers ${from} to ${to}: the model has 0 to ${model.layers}`);
    }
    for (let layer = from; layer < to; layer++) {
      if (this.options.layerLoadMs) await delay(this.options.layerLoadMs, undefined, { signal }).catch(() => undefined);
      signal?.throwIfAborted();
      onProgress((layer - from + 1) / (to - from));
    }
    signal?.throwIfAborted();
    const shard = new MockShard(spec, model, this.options);
    this.shards.add(shard);
    return shard;
  }

  async close(): Promise<void> {
    await Promise.all([...this.shards].map((shard) => shard.unload()));
  }
}
