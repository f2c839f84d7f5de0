import { createHash } from 'node:crypto';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { repositoryRoot } from '@pangalactic/contracts';
import { dequantizeRows, describeModel, GgmlType, GgufFile } from '@pangalactic/models';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { writeF32Copy } from './f32-copy';
import { type RandomModelShape, writeRandomModel } from './random-model';
import { RandomWeights } from './random-weights';

const SHAPE: RandomModelShape = {
  layers: 2,
  hiddenSize: 96,
  feedForwardSize: 160,
  heads: 3,
  kvHeads: 1,
  headSize: 64,
  vocabSize: 500,
  contextLength: 128,
  tiedEmbeddings: false,
};

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'random-model-'));
});
afterAll(() => rm(folder, { recursive: true }));

async function written(shape: RandomModelShape, seed: number, type: GgmlType): Promise<GgufFile> {
  const path = join(folder, 'model.gguf');
  await writeRandomModel(path, shape, { seed, type });
  return GgufFile.open(path);
}

async function valuesOf(file: GgufFile, name: string): Promise<Float32Array> {
  const { type, shape } = file.header.tensors.get(name)!;
  const [columns, rows] = shape as [number, number];
  const values = new Float32Array(columns * rows);
  dequantizeRows(type, await file.readTensor(name), columns, [...Array(rows).keys()], values);
  return values;
}

describe('writeRandomModel', () => {
  it.each([GgmlType.F32, GgmlType.Q8_0, GgmlType.Q4_0])('writes a whole model of type %i', async (type) => {
    for (const tiedEmbeddings of [false, true]) {
      const file = await written({ ...SHAPE, tiedEmbeddings }, 1, type);
      expect(describeModel(file.header)).toMatchObject({ ...SHAPE, tiedEmbeddings, bosId: 1, addBos: true });
      expect(describeModel(file.header).endOfGenerationIds).toEqual([2]);
      await file.close();
    }
  });

  it('depends on the seed alone', async () => {
    const digest = async (seed: number) => {
      const file = await written(SHAPE, seed, GgmlType.Q4_0);
      await file.close();
      return createHash('sha256')
        .update(await readFile(file.path))
        .digest('hex');
    };
    const first = await digest(1);
    expect(await digest(1)).toBe(first);
    expect(await digest(2)).not.toBe(first);
  });

  it('has a vocabulary of distinct tokens, every piece a merge of two earlier ones', async () => {
    const file = await written({ ...SHAPE, vocabSize: 2000 }, 1, GgmlType.Q4_0);
    const tokens = file.header.metadata.get('tokenizer.ggml.tokens') as string[];
    await file.close();
    expect(new Set(tokens).size).toBe(2000);
    expect(tokens.slice(0, 4)).toEqual(['<unk>', '<s>', '</s>', '<0x00>']);
    expect(tokens[258]).toBe('<0xFF>');
    for (const [id, piece] of tokens.entries()) {
      if (id < 259 || [...piece].length === 1) continue;
      const last = [...piece].at(-1)!;
      expect(tokens.indexOf(piece.slice(0, -1))).toBeGreaterThan(0);
      expect(tokens.indexOf(piece.slice(0, -1))).toBeLessThan(id);
      expect(tokens.indexOf(last)).toBeLessThan(id);
    }
  });

  it('never ends by itself: the end token has a logit of 0', async () => {
    const file = await written(SHAPE, 1, GgmlType.Q8_0);
    const values = await valuesOf(file, 'output.weight');
    await file.close();
    const zeroRows = Array.from({ length: SHAPE.vocabSize }, (_, id) => id).filter((id) =>
      values.subarray(id * SHAPE.hiddenSize, (id + 1) * SHAPE.hiddenSize).every((value) => value === 0),
    );
    expect(zeroRows).toEqual([2]);
  });

  it('refuses a vocabulary without room for all bytes', async () => {
    await expect(written({ ...SHAPE, vocabSize: 259 }, 1, GgmlType.F32)).rejects.toThrow(
      'vocabulary of 259: allowed: from 260',
    );
  });
});

describe('RandomWeights', () => {
  it('draws nearly normal values', () => {
    const values = new RandomWeights(7).normals(100_000, 1, 0.5);
    const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
    const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length;
    expect(mean).toBeCloseTo(1, 2);
    expect(Math.sqrt(variance)).toBeCloseTo(0.5, 2);
  });

  it.each([
    ['drawn one by one', 256],
    ['cut from the pool', 8192],
  ])('makes distinct rows when they are %s', (_name, rows) => {
    const columns = 256;
    const zeroRow = 5;
    const chunks = [...new RandomWeights(3).matrix(GgmlType.F32, [columns, rows], 0.25, zeroRow)];
    const bytes = Buffer.concat(chunks);
    expect(bytes.length).toBe(4 * columns * rows);
    const distinct = new Set(
      Array.from({ length: rows }, (_, row) => bytes.toString('latin1', row * 1024, (row + 1) * 1024)),
    );
    expect(distinct.size).toBe(rows);

    const values = new Float32Array(bytes.buffer, bytes.byteOffset, columns * rows);
    const variance = values.reduce((sum, value) => sum + value * value, 0) / values.length;
    expect(Math.sqrt(variance)).toBeCloseTo(0.25, 2);
    expect(values.subarray(zeroRow * columns, (zeroRow + 1) * columns).every((value) => value === 0)).toBe(true);
  });
});

describe('writeF32Copy', () => {
  it.each(['pangalactic-nano-f16.gguf', 'pangalactic-nano.gguf', 'pangalactic-nano-q4_0.gguf'])(
    'keeps the metadata and the values of %s',
    async (name) => {
      const source = join(repositoryRoot(), 'models', name);
      const target = join(folder, 'copy.gguf');
      await writeF32Copy(source, target);
      const [original, copy] = await Promise.all([GgufFile.open(source), GgufFile.open(target)]);
      expect(copy.header.metadata).toEqual(original.header.metadata);
      expect(describeModel(copy.header)).toEqual(describeModel(original.header));
      expect([...copy.header.tensors.values()].every(({ type }) => type === GgmlType.F32)).toBe(true);
      for (const tensor of ['token_embd.weight', 'blk.3.ffn_down.weight']) {
        const [actual, expected] = [await valuesOf(copy, tensor), await valuesOf(original, tensor)];
        expect(Buffer.from(actual.buffer).equals(Buffer.from(expected.buffer))).toBe(true);
      }
      await Promise.all([original.close(), copy.close()]);
    },
  );
});
