import { execFile } from 'node:child_process';
import { readdir, readFile } from 'node:fs/promises';
import { totalmem } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { type GpuType, unusableGpu } from './compute-device';

const MIB = 2 ** 20;
const GIB = 2 ** 30;
/** Bytes. A GPU beside the cores has 512 MiB as a rule. */
const SMALLEST_CARD = 2 * GIB;
/** The first query after a start may initialise the driver. */
const QUERY_TIMEOUT_MS = 20_000;

/**
 * Bytes of the GPU's memory, which WebGPU does not tell.
 * @throws PangalacticError `unsupported_compute_type` when the driver does not tell either
 */
export async function gpuMemory(gpu: GpuType): Promise<number> {
  if (gpu === 'metal') return metalMemory(totalmem());
  try {
    const bytes = gpu === 'cuda' ? await nvidiaMemory() : await amdMemory('/sys/class/drm');
    if (!(bytes > 0)) throw new Error('the driver names no GPU with memory of its own');
    return bytes;
  } catch (error) {
    throw unusableGpu(gpu, error);
  }
}

async function nvidiaMemory(): Promise<number> {
  const query = ['--query-gpu=memory.total', '--format=csv,noheader,nounits'];
  const { stdout } = await promisify(execFile)('nvidia-smi', query, { timeout: QUERY_TIMEOUT_MS });
  return smallestGpu(stdout);
}

/** @param lines MiB of each GPU. Which one WebGPU takes is not known: every one has the smallest memory. */
export function smallestGpu(lines: string): number {
  const sizes = lines.trim().split('\n').map(Number);
  if (!sizes.every((size) => size > 0)) throw new Error(`nvidia-smi answers ${JSON.stringify(lines)}`);
  return Math.min(...sizes) * MIB;
}

/**
 * Of the smallest GPU that has a card of its own, for the same reason: others have a small part of the machine's memory,
 * and are taken last.
 * @param folder of the kernel's graphics devices
 */
export async function amdMemory(folder: string): Promise<number> {
  const cards = (await readdir(folder)).filter((name) => /^card\d+$/.test(name));
  const memory = (card: string) => readFile(join(folder, card, 'device/mem_info_vram_total'), 'utf8').then(Number);
  const sizes = await Promise.all(cards.map((card) => memory(card).catch(() => 0)));
  const ownCards = sizes.filter((bytes) => bytes >= SMALLEST_CARD);
  return ownCards.length > 0 ? Math.min(...ownCards) : Math.max(0, ...sizes);
}

/** What macOS lets a GPU take of the memory it shares with the cores: `recommendedMaxWorkingSetSize`. */
export function metalMemory(totalBytes: number): number {
  return Math.floor(totalBytes * (totalBytes > 36 * GIB ? 3 / 4 : 2 / 3));
}
