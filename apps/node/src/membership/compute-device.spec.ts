import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadNodeConfig } from '@pangalactic/config';
import { describe, expect, it } from 'vitest';
import { isSimulated, unusableGpu, usedGpu } from './compute-device';
import { amdMemory, metalMemory, smallestGpu } from './gpu-memory';

const GIB = 2 ** 30;

describe('usedGpu', () => {
  it.each([
    ['cpu', '0', 'transformers', undefined, false],
    ['cpu', '1', 'transformers', undefined, true],
    ['cpu', '0', 'mock', undefined, false],
    ['cuda', '0', 'transformers', 'cuda', false],
    ['rocm', '0', 'transformers', 'rocm', false],
    ['metal', '0', 'transformers', 'metal', false],
    ['cuda', '0.5', 'transformers', undefined, true],
    ['cuda', '0', 'mock', undefined, true],
  ])('with %s, %s GB simulated and %s is %s, simulated: %s', (type, gigabytes, backend, expected, simulated) => {
    const config = loadNodeConfig({
      ...{ NODE_GPU_COMPUTE_TYPE: type, NODE_SIMULATED_VRAM_GB: gigabytes, NODE_INFERENCE_BACKEND: backend },
    });
    expect(usedGpu(config)).toBe(expected);
    expect(isSimulated(config)).toBe(simulated);
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

  it.each([
    ['the smallest card', { card0: GIB / 2, card1: 24 * GIB, 'card1-DP-1': 1, card2: 16 * GIB }, 16 * GIB],
    ['the part beside the cores where there is nothing else', { card0: GIB / 2 }, GIB / 2],
    ['nothing', { card0: undefined }, 0],
  ])('is for AMD that of %s', async (_case, cards, expected) => {
    const folder = await mkdtemp(join(tmpdir(), 'pangalactic-drm-'));
    for (const [card, bytes] of Object.entries(cards)) {
      await mkdir(join(folder, card, 'device'), { recursive: true });
      if (bytes) await writeFile(join(folder, card, 'device/mem_info_vram_total'), `${bytes}\n`);
    }
    expect(await amdMemory(folder)).toBe(expected);
    await rm(folder, { recursive: true });
  });

  it.each([
    [18, 12],
    [64, 48],
  ])('is with %i GiB for Metal %i GiB', (total, expected) => {
    expect(metalMemory(total * GIB)).toBe(expected * GIB);
  });
});
