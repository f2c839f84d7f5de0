import { mkdtempSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ModelInfo, repositoryRoot } from '@pangalactic/contracts';
import { TransformersProvider } from '@pangalactic/inference';
import { inspectModel } from '@pangalactic/models';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { inferenceProviderContract } from '../../libs/inference/src/inference-provider.contract';

const root = repositoryRoot();
const modelPath = join(root, 'models/pangalactic-nano-f16.gguf');
const workerFile = join(root, 'dist/libs/inference/src/transformers/engine-worker.js');
const cacheDir = mkdtempSync(join(tmpdir(), 'pangalactic-provider-'));
let model: ModelInfo;
const create = () => TransformersProvider.create({ threads: 1, cacheDir, workerFile });
const warnings: string[] = [];
const createCopying = () =>
  TransformersProvider.create(
    { threads: 1, cacheDir, workerFile, onWarning: (warning) => warnings.push(warning) },
    () => Promise.resolve('the cache was not written as it should be'),
  );

beforeAll(async () => {
  model = await inspectModel('pangalactic-nano-f16', modelPath);
});
afterAll(() => rm(cacheDir, { recursive: true, force: true }));

for (const [name, provider] of Object.entries({ transformers: create, 'transformers with copies': createCopying })) {
  inferenceProviderContract(name, async () => {
    const { fingerprint, layers, hiddenSize, vocabSize } = await inspectModel('pangalactic-nano-f16', modelPath);
    return { create: provider, modelPath, fingerprint, layers, hiddenSize, vocabSize };
  });
}

describe('TransformersProvider', () => {
  it('reports a load that fails and serves on', async () => {
    const provider = await create();
    const spec = { modelPath, fingerprint: 'other', layers: { from: 0, to: 8 }, contextLength: 64, maxSequences: 1 };
    await expect(provider.load(spec, () => undefined)).rejects.toMatchObject({ code: 'corrupt_model_file' });
    const shard = await provider.load({ ...spec, fingerprint: model.fingerprint }, () => undefined);
    expect(shard.memoryBytes).toBeGreaterThan(model.layerBytes.reduce((a, b) => a + b, 0));
    await provider.close();
  });

  it('warns when its self-check fails', async () => {
    warnings.length = 0;
    await (await createCopying()).close();
    expect(warnings).toEqual([expect.stringContaining('(the cache was not written as it should be): it is copied')]);
  });

  it('loads a model of which another process compiles the same layers', async () => {
    const [one, two] = await Promise.all([create(), create()]);
    const spec = {
      ...{ modelPath, fingerprint: model.fingerprint, layers: { from: 0, to: 8 } },
      ...{ contextLength: 64, maxSequences: 1 },
    };
    const shards = await Promise.all([one.load(spec, () => undefined), two.load(spec, () => undefined)]);
    expect(shards).toHaveLength(2);
    await Promise.all([one.close(), two.close()]);
  });
});
