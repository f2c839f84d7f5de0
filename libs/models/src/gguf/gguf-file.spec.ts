import { execFileSync } from 'node:child_process';
import { copyFile, mkdtemp, open, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { repositoryRoot } from '@pangalactic/contracts';
import { encodeGgufHeader, encodeTensor, type GgufMetadata, texts, writeGguf } from '@pangalactic/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { GgmlType } from './ggml-type';
import { GgufFile, readGgufHeader } from './gguf-file';
import { GGUF_LIMITS } from './gguf-limits';

const NANO = join(repositoryRoot(), 'models', 'pangalactic-nano.gguf');
let folder: string;
let path: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'gguf-file-'));
  path = join(folder, 'model.gguf');
});
afterAll(() => rm(folder, { recursive: true }));

async function using<T>(file: string, work: (opened: GgufFile) => Promise<T>): Promise<T> {
  const opened = await GgufFile.open(file);
  try {
    return await work(opened);
  } finally {
    await opened.close();
  }
}

const fingerprintOf = (file: string) => using(file, (opened) => opened.fingerprint());

function vocabulary(tokens: number): GgufMetadata {
  return { 'tokenizer.ggml.tokens': texts(Array.from({ length: tokens }, (_, i) => `token number ${i}`)) };
}

describe('GgufFile', () => {
  it('reads single tensors into buffers of their own', async () => {
    const bytes = await readFile(NANO);
    await using(NANO, async (file) => {
      for (const tensor of file.header.tensors.values()) {
        const raw = await file.readTensor(tensor.name);
        expect(raw.equals(bytes.subarray(tensor.offset, tensor.offset + tensor.bytes))).toBe(true);
        expect(raw.buffer.byteLength).toBe(tensor.bytes);
      }
    });
  });

  it('reads no other tensor than the one asked for', async () => {
    // The tensors around it are a hole of a terabyte: whoever reads through it never ends.
    const values = Float32Array.from({ length: 32 }, (_, i) => i);
    const hole = { name: 'hole', type: GgmlType.F32, shape: [2 ** 38] };
    const small = { name: 'small', type: GgmlType.F32, shape: [32] };
    const header = encodeGgufHeader({}, [hole, small]);
    const handle = await open(path, 'w');
    await handle.write(header);
    await handle.write(encodeTensor(GgmlType.F32, values), 0, 128, header.length + 2 ** 40);
    await handle.close();
    await using(path, async (file) => {
      expect(new Float32Array((await file.readTensor('small')).buffer)).toEqual(values);
      expect(await file.fingerprint()).toMatch(/^[0-9a-f]{64}$/);
    });
  });

  it('names a tensor that is not there', async () => {
    await using(NANO, async (file) => {
      await expect(file.readTensor('blk.8.attn_q.weight')).rejects.toMatchObject({
        code: 'corrupt_model_file',
        message: `${NANO}: tensor "blk.8.attn_q.weight" is missing`,
      });
    });
  });

  it('refuses a file that is cut off in a tensor, and names both', async () => {
    await copyFile(NANO, path);
    await truncate(path, 3_000_000);
    await expect(GgufFile.open(path)).rejects.toMatchObject({
      code: 'corrupt_model_file',
      message: expect.stringMatching(
        /model\.gguf: the file is cut off: tensor "blk\.\d\.\w+\.weight" ends at byte/,
      ) as string,
    });
  });

  it.each([0, 3, 20, 20_000])('refuses a file that is cut off after %i bytes', async (length) => {
    await copyFile(NANO, path);
    await truncate(path, length);
    await expect(GgufFile.open(path)).rejects.toMatchObject({
      code: 'corrupt_model_file',
      message: `${path}: the file ends inside its header (${length} bytes)`,
    });
  });

  it('notices a file that shrinks while it is open', async () => {
    await copyFile(NANO, path);
    await using(path, async (file) => {
      await truncate(path, 1_000_000);
      await expect(file.readTensor('blk.7.ffn_down.weight')).rejects.toMatchObject({
        message: `${path}: the file ends inside tensor "blk.7.ffn_down.weight"`,
      });
    });
  });

  it('refuses what is no file without waiting for it', async () => {
    const pipe = join(folder, 'pipe.gguf');
    execFileSync('mkfifo', [pipe]);
    await expect(GgufFile.open(pipe)).rejects.toMatchObject({ message: `${pipe}: not a regular file` });
    await expect(GgufFile.open(folder)).rejects.toMatchObject({ message: `${folder}: not a regular file` });
    const absent = join(folder, 'absent.gguf');
    await expect(GgufFile.open(absent)).rejects.toMatchObject({
      code: 'corrupt_model_file',
      message: expect.stringContaining('ENOENT') as string,
    });
  });
});

describe('readGgufHeader', () => {
  it('returns exactly the bytes before the data', async () => {
    const { header, bytes } = await readGgufHeader(NANO);
    expect(bytes.equals((await readFile(NANO)).subarray(0, header.dataOffset))).toBe(true);
  });

  it('reads a header of any size, whatever follows', async () => {
    for (const tokens of [10, 20_000, 100_000]) {
      const data = encodeTensor(GgmlType.F32, new Float32Array(32));
      const source = { name: 'a', type: GgmlType.F32, shape: [32], chunks: () => [data] };
      await writeGguf(path, vocabulary(tokens), [source]);
      const { header, bytes } = await readGgufHeader(path);
      expect(header.metadata.get('tokenizer.ggml.tokens')).toHaveLength(tokens);
      expect(bytes.length).toBe(header.dataOffset);
      expect(bytes.length + data.length).toBe((await readFile(path)).length);
    }
  });

  it('takes a file without tensors or padding', async () => {
    const padded = encodeGgufHeader(vocabulary(3), []);
    await writeFile(path, padded.subarray(0, padded.findLastIndex((byte) => byte !== 0) + 1));
    expect((await readGgufHeader(path)).header.tensors.size).toBe(0);
  });

  it('stops reading at the limit', async () => {
    const claim = encodeGgufHeader(vocabulary(1), []);
    claim.writeBigUInt64LE(BigInt(GGUF_LIMITS.metadataEntries), 16);
    const text = Buffer.alloc(2 ** 20, 'x');
    const handle = await open(path, 'w');
    await handle.write(claim.subarray(0, 24));
    for (let entry = 0; entry < 65; entry++) {
      const key = Buffer.alloc(12);
      key.writeUInt32LE(4);
      key.write(String(entry).padStart(4), 8);
      const type = Buffer.alloc(12);
      type.writeUInt32LE(8);
      type.writeUInt32LE(text.length, 4);
      await handle.write(Buffer.concat([key, type, text]));
    }
    await handle.close();
    await expect(readGgufHeader(path)).rejects.toThrow(`the header is longer than ${GGUF_LIMITS.headerBytes} bytes`);
  });
});

describe('the fingerprint', () => {
  const flip = async (position: number) => {
    await copyFile(NANO, path);
    const handle = await open(path, 'r+');
    const byte = Buffer.alloc(1);
    await handle.read(byte, 0, 1, position);
    await handle.write(Buffer.of(byte[0]! ^ 1), 0, 1, position);
    await handle.close();
  };

  it('is equal for a copy', async () => {
    await copyFile(NANO, path);
    expect(await fingerprintOf(path)).toBe(await fingerprintOf(NANO));
  });

  it('differs with the header, the size and the ends of each tensor', async () => {
    const seen = new Set([await fingerprintOf(NANO)]);
    const { header } = await readGgufHeader(NANO);
    const tensor = header.tensors.get('blk.3.ffn_up.weight')!;
    const name = (await readFile(NANO)).indexOf('pangalactic-nano');
    for (const position of [name, tensor.offset, tensor.offset + tensor.bytes - 1]) {
      await flip(position);
      seen.add(await fingerprintOf(path));
    }
    await copyFile(NANO, path);
    await writeFile(path, Buffer.of(0), { flag: 'a' });
    seen.add(await fingerprintOf(path));
    expect(seen.size).toBe(5);
  });
});
