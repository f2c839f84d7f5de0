import type { NodeConfig } from '@pangalactic/config';
import { PangalacticError } from '@pangalactic/contracts';

/**
 * The engine computes on the CPU. Any other compute type needs simulated memory, so that nobody believes in a GPU that
 * does not compute.
 * @throws PangalacticError `unsupported_compute_type`
 */
export function requireComputeType({ gpuComputeType, simulatedVramBytes }: NodeConfig): void {
  if (gpuComputeType === 'cpu' || simulatedVramBytes > 0) return;
  throw new PangalacticError(
    'unsupported_compute_type',
    `NODE_GPU_COMPUTE_TYPE="${gpuComputeType}": the engine of this version computes on the CPU only: ` +
      `set NODE_GPU_COMPUTE_TYPE=cpu, or NODE_SIMULATED_VRAM_GB to simulate a GPU on the CPU`,
  );
}
