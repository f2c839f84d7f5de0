/** The head's slots: who may take one, and under which generation, so that late results of an earlier holder show. */
export class SlotPool {
  private readonly free: boolean[];
  private readonly generations: number[];

  constructor(readonly size: number) {
    this.free = Array.from({ length: size }, () => true);
    this.generations = Array.from({ length: size }, () => 0);
  }

  get used(): number {
    return this.free.filter((isFree) => !isFree).length;
  }

  /** The lowest free slot: attention runs over one contiguous range, which this keeps short. */
  acquire(): { slot: number; generation: number } | undefined {
    const slot = this.free.indexOf(true);
    if (slot === -1) return undefined;
    this.free[slot] = false;
    const generation = (this.generations[slot] ?? 0) + 1;
    this.generations[slot] = generation;
    return { slot, generation };
  }

  release(slot: number): void {
    this.free[slot] = true;
  }
}
