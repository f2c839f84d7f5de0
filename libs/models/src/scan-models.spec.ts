import { copyFile, mkdir, mkdtemp, rm, symlink, truncate, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { repositoryRoot } from '@pangalactic/contracts';
import { writeRandomModel } from '@pangalactic/testing';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { GgmlType } from './gguf/ggml-type';
import { inspectModel } from './inspect-model';
import { listModelFiles, scanModels } from './scan-models';

const MODELS = join(repositoryRoot(), 'models');
const NANO = join(MODELS, 'pangalactic-nano.gguf');
let dir: string;

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'scan-models-'));
});
afterEach(() => rm(dir, { recursive: true }));

describe('inspectModel', () => {
  it('measures a tied model, whose table counts at both ends', async () => {
    const info = await inspectModel('nano', NANO);
    // Packed Q8_0 takes 40 bytes for 32 weights; the two norms are float32.
    const matrixWeights = 2 * 192 * 192 + 2 * 192 * 64 + 3 * 192 * 512;
    expect(info).toMatchObject({
      id: 'nano',
      architecture: 'llama',
      layers: 8,
      hiddenSize: 192,
      vocabSize: 2048,
      contextLength: 512,
      heads: 6,
      kvHeads: 2,
      headSize: 32,
      layerBytes: Array<number>(8).fill((matrixWeights / 32) * 40 + 2 * 192 * 4),
      embeddingBytes: ((2048 * 192) / 32) * 34,
      outputBytes: ((2048 * 192) / 32) * 40 + 192 * 4,
      fileBytes: 3_823_520,
    });
  });

  describe('measures', () => {
    const shape = {
      ...{ layers: 2, hiddenSize: 64, feedForwardSize: 96, heads: 2, kvHeads: 1, headSize: 64 },
      ...{ vocabSize: 300, contextLength: 128, tiedEmbeddings: false },
    };
    const matrixWeights = 2 * 64 * 128 + 2 * 64 * 64 + 3 * 64 * 96;
    const norms = 2 * 64 * 4;

    it('a model with a head of its own', async () => {
      const path = join(dir, 'untied.gguf');
      await writeRandomModel(path, shape, { seed: 1, type: GgmlType.Q4_0 });
      expect(await inspectModel('untied', path)).toMatchObject({
        headSize: 64,
        layerBytes: Array<number>(2).fill((matrixWeights / 32) * 24 + norms),
        embeddingBytes: ((300 * 64) / 32) * 18,
        outputBytes: ((300 * 64) / 32) * 24 + 64 * 4,
      });
    });

    it.each([
      ['biases', 'qwen2', (2 + 1 + 1) * 64 * 4],
      ['norms of heads', 'qwen3', 2 * 64 * 4],
    ] as const)('%s and tensors of several types', async (_name, architecture, more) => {
      const path = join(dir, `${architecture}.gguf`);
      const type = (tensor: string) => (tensor === 'blk.1.ffn_down.weight' ? GgmlType.Q5_1 : GgmlType.Q4_1);
      await writeRandomModel(path, { ...shape, architecture }, { seed: 1, type });
      const layerBytes = (matrixWeights / 32) * 28 + norms + more;
      expect(await inspectModel(architecture, path)).toMatchObject({
        architecture,
        layerBytes: [layerBytes, layerBytes + 3 * 64 * (44 - 28)],
        embeddingBytes: ((300 * 64) / 32) * 20,
      });
    });
  });
});

describe('scanModels', () => {
  it('finds the embedded models', async () => {
    const { models, rejected } = await scanModels(MODELS);
    expect(models.map(({ info }) => info.id)).toEqual([
      'pangalactic-nano-f16',
      'pangalactic-nano-q4_0',
      'pangalactic-nano',
    ]);
    expect(new Set(models.map(({ info }) => info.fingerprint)).size).toBe(3);
    expect(rejected).toEqual([]);
  });

  it('takes files, folders and links, and leaves everything else alone', async () => {
    await copyFile(NANO, join(dir, 'file.gguf'));
    await symlink(NANO, join(dir, 'link.gguf'));
    await mkdir(join(dir, 'folder'));
    await copyFile(NANO, join(dir, 'folder', 'anything-Q8_0.gguf'));
    await writeFile(join(dir, 'folder', 'README.md'), 'a model');
    await mkdir(join(dir, 'empty'));
    for (const name of ['.hidden.gguf', '.gguf', 'notes.txt', 'download.gguf.part'])
      await writeFile(join(dir, name), '');

    const { models, rejected } = await scanModels(dir);
    expect(models.map(({ info, path }) => [info.id, path])).toEqual([
      ['file', join(dir, 'file.gguf')],
      ['folder', join(dir, 'folder', 'anything-Q8_0.gguf')],
      ['link', join(dir, 'link.gguf')],
    ]);
    expect(rejected).toEqual([]);
  });

  it('names what it rejects and goes on', async () => {
    await copyFile(NANO, join(dir, 'cut.gguf'));
    await truncate(join(dir, 'cut.gguf'), 2_000_000);
    await writeFile(join(dir, 'text.gguf'), 'this is not a model file');
    await symlink(join(dir, 'nowhere'), join(dir, 'broken.gguf'));
    await mkdir(join(dir, 'two'));
    for (const name of ['a.gguf', 'b.gguf']) await copyFile(NANO, join(dir, 'two', name));
    await mkdir(join(dir, 'same'));
    const longName = `x${'\u00fc'.repeat(64)}.gguf`;
    for (const name of ['same/model.gguf', 'same.gguf', longName]) await copyFile(NANO, join(dir, name));

    const { models, rejected } = await scanModels(dir);
    expect(models.map(({ info }) => info.id)).toEqual(['same']);
    expect(rejected).toEqual([
      { file: join(dir, 'broken.gguf'), reason: expect.stringContaining('ENOENT') as string },
      {
        file: join(dir, 'cut.gguf'),
        reason: expect.stringMatching(/cut\.gguf: the file is cut off: tensor "/) as string,
      },
      {
        file: join(dir, 'same.gguf'),
        reason: `the model id "same" belongs to ${join(dir, 'same', 'model.gguf')} already`,
      },
      { file: join(dir, 'text.gguf'), reason: expect.stringContaining('not a GGUF file') as string },
      { file: join(dir, 'two'), reason: '2 GGUF files (a.gguf, b.gguf): allowed: one per folder' },
      { file: join(dir, longName), reason: 'its name is too long: allowed: 128 bytes' },
    ]);
  });

  it('reports a directory that is not there', async () => {
    const absent = join(dir, 'absent');
    expect(await scanModels(absent)).toEqual({
      models: [],
      rejected: [{ file: absent, reason: expect.stringContaining('ENOENT') as string }],
    });
  });
});

describe('listModelFiles', () => {
  const changes = async (change: () => Promise<unknown>) => {
    const before = await listModelFiles(dir);
    await change();
    return (await listModelFiles(dir)) !== before;
  };

  it('changes with every file that a scan looks at, also behind a link', async () => {
    const elsewhere = await mkdtemp(join(tmpdir(), 'scan-models-'));
    await mkdir(join(dir, 'folder'));
    await symlink(elsewhere, join(dir, 'linked'));
    expect(await changes(() => writeFile(join(dir, 'file.gguf'), 'a'))).toBe(true);
    expect(await changes(() => writeFile(join(dir, 'file.gguf'), 'ab'))).toBe(true);
    expect(await changes(() => utimes(join(dir, 'file.gguf'), 1, 1))).toBe(true);
    expect(await changes(() => writeFile(join(dir, 'folder', 'file.gguf'), ''))).toBe(true);
    expect(await changes(() => writeFile(join(elsewhere, 'file.gguf'), ''))).toBe(true);
    expect(await changes(() => rm(join(dir, 'file.gguf')))).toBe(true);
    expect(await changes(() => rm(dir, { recursive: true }))).toBe(true);
    expect(await changes(() => mkdir(dir))).toBe(true);
    await rm(elsewhere, { recursive: true });
  });

  it('does not change with anything else, such as what lies deeper', async () => {
    await mkdir(join(dir, 'folder', 'deeper'), { recursive: true });
    expect(await changes(() => writeFile(join(dir, 'folder', 'deeper', 'file.gguf'), ''))).toBe(false);
    expect(await changes(() => writeFile(join(dir, 'folder', 'README.md'), ''))).toBe(false);
    expect(await changes(() => writeFile(join(dir, 'file.gguf.part'), ''))).toBe(false);
    expect(await changes(() => writeFile(join(dir, '.file.gguf'), ''))).toBe(false);
  });
});
