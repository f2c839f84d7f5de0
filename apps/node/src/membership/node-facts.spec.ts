import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { hostname, tmpdir, totalmem } from 'node:os';
import { join } from 'node:path';
import { Logger } from '@nestjs/common';
import { loadNodeConfig } from '@pangalactic/config';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { NodeIdentity } from './node-identity';
import { grantedMemory, offeredMemory } from './node-memory';

describe('offeredMemory', () => {
  it('is the simulated memory where there is one', async () => {
    const config = loadNodeConfig({ NODE_GPU_COMPUTE_TYPE: 'cuda', NODE_SIMULATED_VRAM_GB: '0.5' });
    expect(await offeredMemory(config)).toBe(2 ** 29);
  });

  it('is what the machine grants a node that computes on its cores', async () => {
    const config = loadNodeConfig({ NODE_GPU_COMPUTE_TYPE: 'cpu' });
    expect(await offeredMemory(config)).toBe(grantedMemory(process.constrainedMemory(), totalmem()));
  });
});

describe('grantedMemory', () => {
  it.each([
    ['the limit of the control group', 7, 9, 7],
    ['all memory when the limit is beyond it', 2 ** 62, 9, 9],
    ['all memory without a limit', 0, 9, 9],
    ['all memory when no limit is known', undefined, 9, 9],
  ])('is %s', (_case, constrainedBytes, totalBytes, expected) => {
    expect(grantedMemory(constrainedBytes, totalBytes)).toBe(expected);
  });
});

describe('NodeIdentity', () => {
  let directory: string;

  const identity = async (environment: Record<string, string> = {}) => {
    const config = loadNodeConfig({ NODE_CACHE_DIR: join(directory, 'cache'), ...environment });
    const created = new NodeIdentity(config);
    await created.onModuleInit();
    return created;
  };

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'pangalactic-identity-'));
  });
  afterEach(() => rm(directory, { recursive: true }));

  it('is NODE_ID when that is set, and never another', async () => {
    const created = await identity({ NODE_ID: 'gpu-7' });
    expect(await created.disambiguate()).toBe(false);
    expect(created.id).toBe('gpu-7');
  });

  it('is the host name at first and kept from then on', async () => {
    expect((await identity()).id).toBe(hostname());
    expect(await readFile(join(directory, 'node-id-7200'), 'utf8')).toBe(`${hostname()}\n`);
    await writeFile(join(directory, 'node-id-7200'), 'old-name\n');
    expect((await identity()).id).toBe('old-name');
  });

  it('keeps a new name that it had to take', async () => {
    const created = await identity();
    expect(await created.disambiguate()).toBe(true);
    expect(created.id).not.toBe(hostname());
    expect((await identity()).id).toBe(created.id);
  });

  it('is another one for a second node in the same directory, and each keeps its own', async () => {
    const first = await identity();
    const secondPort = { NODE_BIND_ADDR: '0.0.0.0:7210' };
    const second = await identity(secondPort);
    expect(first.id).toBe(hostname());
    expect(second.id).toMatch(new RegExp(`^${hostname()}-[0-9a-f]{6}$`));
    expect((await identity(secondPort)).id).toBe(second.id);
    await second.disambiguate();
    expect((await identity()).id).toBe(first.id);
    expect((await identity(secondPort)).id).toBe(second.id);
  });

  it('goes on with the host name when the disk cannot be written', async () => {
    Logger.overrideLogger(false);
    await writeFile(join(directory, 'file'), '');
    expect((await identity({ NODE_CACHE_DIR: join(directory, 'file', 'cache', 'x') })).id).toBe(hostname());
  });
});
