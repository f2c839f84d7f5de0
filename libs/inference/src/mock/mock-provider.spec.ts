import { join } from 'node:path';
import { repositoryRoot } from '@pangalactic/contracts';
import { describeModel, type ModelDescription, readGgufHeader } from '@pangalactic/models';
import { beforeAll, describe, expect, it } from 'vitest';
import type { SequenceStart, ShardSpec } from '../inference-provider';
import { inferenceProviderContract } from '../inference-provider.contract';
import { MockProvider } from './mock-provider';

const modelPath = join(repositoryRoot(), 'models/pangalactic-nano.gguf');

inferenceProviderContract('mock', async () => {
  const { layers, hiddenSize, vocabSize } = describeModel((await readGgufHeader(modelPath)).header);
  return { create: async () => new MockProvider(), modelPath, fingerprint: 'any', layers, hiddenSize, vocabSize };
});

describe('MockProvider', () => {
  let spec: ShardSpec;
  let model: ModelDescription;
  const start: { kind: 'start' } & SequenceStart = {
    kind: 'start',
    slot: 0,
    generation: 1,
    promptIds: [5, 6],
    emittedIds: [],
    sampling: { temperature: 0, topP: 1 },
    seed: 0,
    choiceIndex: 0,
  };
  const rows = [{ slot: 0, generation: 1, start: 0, count: 2, sample: true }];

  beforeAll(async () => {
    model = describeModel((await readGgufHeader(modelPath)).header);
    spec = { modelPath, fingerprint: 'any', layers: { from: 0, to: model.layers }, contextLength: 32, maxSequences: 1 };
  });

  it('takes its time per layer and step', async () => {
    const shard = await new MockProvider({ layerDelayMs: 5 }).load(spec, () => undefined);
    shard.apply(start);
    const began = performance.now();
    await shard.run({ rows, tokenIds: Uint32Array.of(5, 6) });
    expect(performance.now() - began).toBeGreaterThanOrEqual(5 * model.layers - 1);
  });

  it('ends a sequence at the index it is told to', async () => {
    const shard = await new MockProvider({ layerDelayMs: 0, endAtIndex: 0 }).load(spec, () => undefined);
    shard.apply(start);
    const { samples } = await shard.run({ rows, tokenIds: Uint32Array.of(5, 6) });
    expect(model.endOfGenerationIds).toContain(samples[0]?.id);
  });

  it('depends on every token before', async () => {
    const shard = await new MockProvider().load({ ...spec, maxSequences: 32 }, () => undefined);
    const ids = new Set<number>();
    for (let slot = 0; slot < 32; slot++) {
      shard.apply({ ...start, slot });
      const { samples } = await shard.run({ rows: [{ ...rows[0]!, slot }], tokenIds: Uint32Array.of(slot, 6) });
      ids.add(samples[0]?.id ?? -1);
    }
    // A collision or two among 32 hashes modulo the vocabulary is no defect.
    expect(ids.size).toBeGreaterThan(24);
  });

  it('refuses layers that the model does not have', async () => {
    const load = new MockProvider().load({ ...spec, layers: { from: 2, to: model.layers + 1 } }, () => undefined);
    await expect(load).rejects.toMatchObject({ code: 'invalid_request' });
  });
});
