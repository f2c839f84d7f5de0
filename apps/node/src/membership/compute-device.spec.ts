import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadNodeConfig } from '@pangalactic/config';
import { describe, expect, it } from 'vitest';
import { unusableGpu, usedGpu } from './compute-device';
import { amdMemory, metalMemory, smallestGpu } from './gpu-memory';

const GIB = 2 ** 30;

describe('usedGpu', () => {
  it.each([
    ['cpu', '0', 'transformers', undefined],
    ['cpu', '1', 'transformers', undefined],
    ['cuda', '0', 'transformers', 'cuda'],
    ['rocm', '0', 'transformers', 'rocm'],
    ['metal', '0', 'transformers', 'metal'],
    ['cuda', '0.5', 'transformers', undefined],
    ['cuda', '0', 'mock', undefined],
  ])('with %s, %s GB simulated and %s is %s', (type, gigabytes, backend, expected) => {
    const config = loadNodeConfig({
      ...{ NODE_GPU_COMPUTE_TYPE: type, NODE_SIMULATED_VRAM_GB: gigabytes, NODE_INFERENCE_BACKEND: backend },
    });
    expect(usedGpu(config)).toBe(expected);
  });
});

describe('unusableGpu', () => {
  it.each(['cuda', 'rocm', 'metal'] as const)('says of %s in one line what it takes', (gpu) => {
    const { code, message } = unusableGpu(gpu, new Error('No supported\n adapters'));
    expect(code).toBe('unsupported_compute_type');
    expect(message).toMatch(
      new RegExp(
        `^NODE_GPU_COMPUTE_TYPE="${gpu}": no GPU can be used \\(No supported adapters\\): it takes [^\\n]+; ` +
          'or set NODE_GPU_COMPUTE_TYPE=cpu, or NODE_SIMULATED_VRAM_GB to simulate a GPU on the CPU$',
      ),
    );
  });
});

describe('the memory of a GPU', () => {
  it.each([
    ['81559\n', 81_559],
    ['24564\n12282\n', 12_282],
  ])('is for NVIDIA that of the smallest: %j', (lines, mib) => {
    expect(smallestGpu(lines)).toBe(mib * 2 ** 20);
  });

  it.each(['', '[N/A]\n', '24564\n[Insufficient Permissions]\n'])('is not guessed from %j', (lines) => {
    expect(() => smallestGpu(lines)).toThrow('nvidia-smi answers');
  });

  it('is for AMD that of the largest card', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'pangalactic-drm-'));
    const sizes = { card0: String(GIB / 2), card1: String(24 * GIB), 'card1-DP-1': String(99 * GIB) };
    for (const [card, bytes] of Object.entries(sizes)) {
      await mkdir(join(folder, card, 'device'), { recursive: true });
      await writeFile(join(folder, card, 'device/mem_info_vram_total'), `${bytes}\n`);
    }
    await mkdir(join(folder, 'card2/device'), { recursive: true });
    expect(await amdMemory(folder)).toBe(24 * GIB);
    await rm(folder, { recursive: true });
  });

  it.each([
    [18, 12],
    [64, 48],
  ])('is with %i GiB for Metal %i GiB', (total, expected) => {
    expect(metalMemory(total * GIB)).toBe(expected * GIB);
  });
});
