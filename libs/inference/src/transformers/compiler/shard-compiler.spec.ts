import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { repositoryRoot } from '@pangalactic/contracts';
import { describeModel, GgufFile } from '@pangalactic/models';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { compileShard } from './shard-compiler';
import { WeightCache } from './weight-cache';

const REASON = new Error('not wanted any more');

describe('compileShard', () => {
  let cacheDir: string;
  let cache: WeightCache;
  let model: GgufFile;
  let giveUp: AbortController;

  const compile = (onProgress: (fraction: number) => void = () => undefined) =>
    compileShard({
      ...{ model, description: describeModel(model.header), fingerprint: 'nano', layers: { from: 0, to: 4 } },
      ...{ positions: 64, sentinel: true, cache, onProgress, signal: giveUp.signal },
    });
  const weightFiles = async () => (await readdir(join(cacheDir, 'nano-v2'))).sort();

  beforeEach(async () => {
    cacheDir = await mkdtemp(join(tmpdir(), 'pangalactic-compiler-'));
    cache = new WeightCache(cacheDir);
    model = await GgufFile.open(join(repositoryRoot(), 'models/pangalactic-nano.gguf'));
    giveUp = new AbortController();
  });
  afterEach(async () => {
    await model.close();
    cache.close();
    await rm(cacheDir, { recursive: true });
  });

  it('gives up between two layers and keeps those that are done', async () => {
    const progress: number[] = [];
    const compiling = compile((fraction) => {
      progress.push(fraction);
      if (progress.length === 2) giveUp.abort(REASON);
    });
    await expect(compiling).rejects.toBe(REASON);
    expect(await weightFiles()).toHaveLength(2);
  });

  it('gives up between two tensors and leaves no half file', async () => {
    let reads = 0;
    const readTensor = model.readTensor.bind(model);
    model.readTensor = (name) => {
      if (++reads === 3) giveUp.abort(REASON);
      return readTensor(name);
    };
    await expect(compile()).rejects.toBe(REASON);
    expect(reads).toBe(3);
    expect(await weightFiles()).toEqual([]);
  });
});
