/** A beginning of a prompt. */
export interface PromptPrefix {
  /** Equal for equal beginnings for the same model. */
  readonly key: string;
  /** Of the whole prompt, 0 to 1. */
  readonly share: number;
}

/** About 2 MB. */
const CAPACITY = 20_000;

/** Which pipeline computed the beginning of a prompt last, and so may have it in its KV cache. Forgets what was not used for longest. */
export class PrefixMemory {
  private readonly pipelines = new Map<string, string>();

  constructor(private readonly capacity = CAPACITY) {}

  /**
   * @param prefixes from the shortest to the longest
   * @returns what part of the prompt a pipeline may have already
   */
  lookUp(prefixes: readonly PromptPrefix[]): (pipelineId: string) => number {
    const shares = new Map<string, number>();
    for (const { key, share } of prefixes) {
      const pipelineId = this.pipelines.get(key);
      if (pipelineId !== undefined) shares.set(pipelineId, share);
    }
    return (pipelineId) => shares.get(pipelineId) ?? 0;
  }

  learn(prefixes: readonly PromptPrefix[], pipelineId: string): void {
    for (const { key } of prefixes) {
      this.pipelines.delete(key);
      this.pipelines.set(key, pipelineId);
    }
    for (const key of this.pipelines.keys()) {
      if (this.pipelines.size <= this.capacity) return;
      this.pipelines.delete(key);
    }
  }
}
