import { totalmem } from 'node:os';
import type { NodeConfig } from '@pangalactic/config';
import { usedGpu } from './compute-device';
import { gpuMemory } from './gpu-memory';

export const OFFERED_MEMORY = Symbol('OFFERED_MEMORY');

/**
 * Bytes that the node offers to the planner, which keeps its headroom out of them.
 * @throws PangalacticError `unsupported_compute_type` when a GPU's memory is not known
 */
export async function offeredMemory(config: NodeConfig): Promise<number> {
  if (config.simulatedVramBytes > 0) return config.simulatedVramBytes;
  const gpu = usedGpu(config);
  return gpu ? gpuMemory(gpu) : grantedMemory(process.constrainedMemory(), totalmem());
}

/** @param constrainedBytes the limit of the process's control group; 0 or undefined without one */
export function grantedMemory(constrainedBytes: number | undefined, totalBytes: number): number {
  // Without a limit the kernel reports an absurdly high one.
  return constrainedBytes ? Math.min(constrainedBytes, totalBytes) : totalBytes;
}
