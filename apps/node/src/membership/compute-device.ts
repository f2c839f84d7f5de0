import type { NodeConfig } from '@pangalactic/config';
import { PangalacticError } from '@pangalactic/contracts';

export type GpuType = Exclude<NodeConfig['gpuComputeType'], 'cpu'>;

type ComputeConfig = Pick<NodeConfig, 'gpuComputeType' | 'simulatedVramBytes' | 'inferenceBackend'>;

/** Whether no GPU computes although the node says that it has one, or less memory than the machine has is offered. */
export function isSimulated({ gpuComputeType, simulatedVramBytes, inferenceBackend }: ComputeConfig): boolean {
  return simulatedVramBytes > 0 || (gpuComputeType !== 'cpu' && inferenceBackend === 'mock');
}

/** The GPU that the engine computes on. Undefined: it computes on the CPU, also where a GPU is simulated. */
export function usedGpu(config: ComputeConfig): GpuType | undefined {
  const { gpuComputeType } = config;
  return gpuComputeType === 'cpu' || isSimulated(config) ? undefined : gpuComputeType;
}

const DRIVER = {
  cuda: "NVIDIA's driver with its Vulkan part (in a container: the capabilities utility and graphics) and Vulkan's loader (Debian: libvulkan1)",
  rocm: "AMD's Vulkan driver and loader (Debian: mesa-vulkan-drivers, libvulkan1)",
  metal: 'macOS on Apple silicon',
} as const;

/** @param cause why the GPU cannot be used */
export function unusableGpu(gpu: GpuType, cause: unknown): PangalacticError {
  const reason = (cause instanceof Error ? cause.message : String(cause)).replaceAll(/\s+/g, ' ').trim();
  return new PangalacticError(
    'unsupported_compute_type',
    `NODE_GPU_COMPUTE_TYPE="${gpu}": no GPU can be used (${reason}): it takes ${DRIVER[gpu]}; ` +
      'or set NODE_GPU_COMPUTE_TYPE=cpu, or NODE_SIMULATED_VRAM_GB to simulate a GPU on the CPU',
    { cause },
  );
}
