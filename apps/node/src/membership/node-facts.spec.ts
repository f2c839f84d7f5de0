import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { Logger } from '@nestjs/common';
import { loadNodeConfig } from '@pangalactic/config';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { requireComputeType } from './compute-type';
import { NodeIdentity } from './node-identity';
import { offeredMemory } from './node-memory';

describe('offeredMemory', () => {
  it.each([
    ['the simulated memory', { simulatedVramBytes: 5, constrainedBytes: 7, totalBytes: 9 }, 5],
    ['the limit of the control group', { simulatedVramBytes: 0, constrainedBytes: 7, totalBytes: 9 }, 7],
    ['all memory when the limit is beyond it', { simulatedVramBytes: 0, constrainedBytes: 2 ** 62, totalBytes: 9 }, 9],
    ['all memory without a limit', { simulatedVramBytes: 0, constrainedBytes: 0, totalBytes: 9 }, 9],
    ['all memory when no limit is known', { simulatedVramBytes: 0, constrainedBytes: undefined, totalBytes: 9 }, 9],
  ])('is %s', (_case, facts, expected) => {
    expect(offeredMemory(facts)).toBe(expected);
  });
});

describe('requireComputeType', () => {
  it.each([
    ['cpu', '0'],
    ['cpu', '1'],
    ['cuda', '0.5'],
    ['rocm', '2'],
    ['metal', '2'],
  ])('takes %s with %s GB simulated', (type, gigabytes) => {
    const config = loadNodeConfig({ NODE_GPU_COMPUTE_TYPE: type, NODE_SIMULATED_VRAM_GB: gigabytes });
    expect(() => requireComputeType(config)).not.toThrow();
  });

  it.each(['cuda', 'rocm', 'metal'])('refuses %s without simulation, in one line that says what to do', (type) => {
    const config = loadNodeConfig({ NODE_GPU_COMPUTE_TYPE: type });
    expect(() => requireComputeType(config)).toThrow(
      expect.objectContaining({
        code: 'unsupported_compute_type',
        message: expect.stringMatching(
          /^NODE_GPU_COMPUTE_TYPE="\w+": .*NODE_GPU_COMPUTE_TYPE=cpu, or NODE_SIMULATED_VRAM_GB[^\n]*$/,
        ) as string,
      }),
    );
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
