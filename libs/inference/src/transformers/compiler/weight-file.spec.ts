import { mkdtemp, open, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { writeAt } from './weight-file';

/** What the operating system may do: take less than it is given. */
const taking = (most: number) => {
  const calls: [offset: number, length: number, position: number][] = [];
  const write = (bytes: Uint8Array, offset: number, length: number, position: number) => {
    calls.push([offset, length, position]);
    return Promise.resolve({ bytesWritten: Math.min(most, length), buffer: bytes });
  };
  return { calls, handle: { write: write as unknown as Parameters<typeof writeAt>[0]['write'] } };
};

describe('writeAt', () => {
  it('writes where it should', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'pangalactic-write-'));
    const handle = await open(join(folder, 'file'), 'wx');
    await writeAt(handle, Uint8Array.of(1, 2, 3), 2);
    await handle.close();
    expect([...(await readFile(join(folder, 'file')))]).toEqual([0, 0, 1, 2, 3]);
    await rm(folder, { recursive: true });
  });

  it('goes on after a short write', async () => {
    const { calls, handle } = taking(4);
    await writeAt(handle, new Uint8Array(10), 100);
    expect(calls).toEqual([
      [0, 10, 100],
      [4, 6, 104],
      [8, 2, 108],
    ]);
  });

  it('cuts what one call cannot take', async () => {
    const { calls, handle } = taking(Infinity);
    // Never touched, so it takes no memory.
    await writeAt(handle, new Uint8Array(2 ** 31 + 5), 0);
    expect(calls).toEqual([
      [0, 2 ** 30, 0],
      [2 ** 30, 2 ** 30, 2 ** 30],
      [2 ** 31, 5, 2 ** 31],
    ]);
  });

  it('does not try for ever', async () => {
    await expect(writeAt(taking(0).handle, new Uint8Array(1), 7)).rejects.toThrow('no more bytes at 7');
  });
});
