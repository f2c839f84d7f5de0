export interface MemoryFacts {
  readonly simulatedVramBytes: number;
  /** The limit of the process's control group; 0 or undefined without one. */
  readonly constrainedBytes: number | undefined;
  readonly totalBytes: number;
}

/** Bytes that the node offers to the planner, which keeps its headroom out of them. */
export function offeredMemory({ simulatedVramBytes, constrainedBytes, totalBytes }: MemoryFacts): number {
  if (simulatedVramBytes > 0) return simulatedVramBytes;
  // Without a limit the kernel reports an absurdly high one.
  return constrainedBytes ? Math.min(constrainedBytes, totalBytes) : totalBytes;
}
