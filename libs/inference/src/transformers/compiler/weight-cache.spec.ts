import { mkdir, mkdtemp, readdir, readFile, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { until } from '@pangalactic/testing';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { WeightCache } from './weight-cache';

const MINUTE = 60_000;
const MODEL = 'a'.repeat(64);
const OTHER = 'b'.repeat(64);
const TEMPORARY = 'layer-000.weights.2f1c1b1e-6a0c-4b5e-9d0e-0123456789ab.tmp';

let directory: string;
let cache: WeightCache;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'pangalactic-weights-'));
  cache = new WeightCache(directory, 250);
});
afterEach(async () => {
  vi.useRealTimers();
  cache.close();
  await rm(directory, { recursive: true, force: true });
});

const age = (path: string, minutes: number) => {
  const time = new Date(Date.now() - minutes * MINUTE);
  return utimes(path, time, time);
};
const ageOf = async (path: string) => (Date.now() - (await stat(path)).mtimeMs) / MINUTE;

/** A file of 100 bytes that was used so many minutes ago. */
async function put(folder: string, name: string, minutes: number): Promise<string> {
  const path = join(folder, name);
  await mkdir(folder, { recursive: true });
  await writeFile(path, Buffer.alloc(100));
  await age(path, minutes);
  return path;
}

async function files(): Promise<string[]> {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .map(({ parentPath, name }) => relative(directory, join(parentPath, name)))
    .sort();
}

describe('WeightCache', () => {
  it('writes a file once, and anew where the size is wrong', async () => {
    const path = join(cache.folder(MODEL, 1), 'layer-000.weights');
    let writes = 0;
    const ensure = () =>
      cache.ensure(path, 5, async (handle) => {
        writes++;
        await handle.write(Buffer.from('hello'));
      });
    await ensure();
    await ensure();
    expect([writes, await readFile(path, 'utf8')]).toEqual([1, 'hello']);
    await writeFile(path, 'hell');
    await ensure();
    expect([writes, await readFile(path, 'utf8')]).toEqual([2, 'hello']);
    expect(await files()).toEqual([`${MODEL}-v1/layer-000.weights`]);
  });

  it('leaves nothing of a file whose writing fails', async () => {
    const path = join(cache.folder(MODEL, 1), 'layer-000.weights');
    const full = () => Promise.reject(new Error('ENOSPC'));
    await expect(cache.ensure(path, 5, full)).rejects.toThrow('ENOSPC');
    expect(await files()).toEqual([]);
  });

  it('removes the files that were not used for longest, of all models', async () => {
    await put(cache.folder(MODEL, 1), 'layer-000.weights', 50);
    await put(cache.folder(MODEL, 1), 'layer-001.weights', 10);
    await put(cache.folder(OTHER, 1), 'output.weights', 40);
    await put(cache.folder(OTHER, 1), 'layer-000.weights', 20);
    await cache.sweep();
    expect(await files()).toEqual([`${MODEL}-v1/layer-001.weights`, `${OTHER}-v1/layer-000.weights`]);
  });

  it('removes no file in use, by this process or another', async () => {
    cache = new WeightCache(directory, 0);
    const mine = await put(cache.folder(MODEL, 1), 'layer-000.weights', 50);
    await cache.ensure(mine, 100, () => Promise.reject(new Error('it is there')));
    expect(await ageOf(mine)).toBeLessThan(1);
    await age(mine, 50);
    await put(cache.folder(MODEL, 1), 'layer-001.weights', 1);
    await put(cache.folder(MODEL, 1), 'layer-002.weights', 3);
    await cache.sweep();
    expect(await files()).toEqual([`${MODEL}-v1/layer-000.weights`, `${MODEL}-v1/layer-001.weights`]);
    cache.close();
    await cache.sweep();
    expect(await files()).toEqual([`${MODEL}-v1/layer-001.weights`]);
  });

  it('tells other processes what it uses for as long as it does', async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
    const path = await put(cache.folder(MODEL, 1), 'layer-000.weights', 50);
    await cache.ensure(path, 100, () => Promise.reject(new Error('it is there')));
    await age(path, 50);
    vi.advanceTimersByTime(MINUTE);
    await until(async () => (await ageOf(path)) < 1, { timeoutMs: 5_000, message: 'the file is touched' });
    cache.close();
    expect(vi.getTimerCount()).toBe(0);
  });

  it('removes what a dead process left half written, and not what another writes', async () => {
    await put(cache.folder(MODEL, 1), TEMPORARY, 3);
    await put(cache.folder(OTHER, 1), TEMPORARY, 1);
    await cache.sweep();
    expect(await files()).toEqual([`${OTHER}-v1/${TEMPORARY}`]);
  });

  it('removes folders that stay empty, and touches nothing of others', async () => {
    await put(cache.folder(MODEL, 1), 'layer-000.weights', 50);
    await put(cache.folder(OTHER, 1), 'notes.txt', 50);
    await put(join(directory, 'somebody'), 'layer-000.weights', 50);
    cache = new WeightCache(directory, 0);
    await cache.sweep();
    await age(cache.folder(MODEL, 1), 50);
    await cache.sweep();
    expect((await readdir(directory)).sort()).toEqual([`${OTHER}-v1`, 'somebody']);
    expect(await files()).toEqual([`${OTHER}-v1/notes.txt`, 'somebody/layer-000.weights']);
  });

  it('is empty where there is no directory', async () => {
    await new WeightCache(join(directory, 'nowhere')).sweep();
  });
});
