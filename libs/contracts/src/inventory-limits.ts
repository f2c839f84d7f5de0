/** What nodes may report of their models: far above real ones, and what a hub can plan with and store. */
export const INVENTORY_LIMITS = {
  models: 1_000,
  /** Llama 3.1 405B has 126. The planner's tables grow with the square. */
  layers: 512,
  /** In JSON, without its quotes. */
  modelIdBytes: 128,
} as const;

export function isModelId(id: string): boolean {
  return id !== '' && Buffer.byteLength(JSON.stringify(id)) - 2 <= INVENTORY_LIMITS.modelIdBytes;
}
