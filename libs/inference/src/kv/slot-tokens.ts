/**
 * The head's mirror of every stage's KV: which tokens each slot holds. Stages process messages in the order in which the
 * head sends them, so what was sent is what a later message finds, whatever is still on its way.
 *
 * It moves exactly as SlotTable does on the stages, only with the tokens themselves in place of their number.
 */
export class SlotTokens {
  private readonly tokens: Uint32Array[];
  private readonly lengths: number[];

  constructor(options: { slots: number; contextLength: number }) {
    this.tokens = Array.from({ length: options.slots }, () => new Uint32Array(options.contextLength));
    this.lengths = Array.from({ length: options.slots }, () => 0);
  }

  length(slot: number): number {
    return this.lengths[slot] ?? 0;
  }

  /** A row: a start below the slot's length rewinds it. */
  feed(slot: number, start: number, ids: Uint32Array): void {
    this.tokens[slot]?.set(ids, start);
    this.lengths[slot] = start + ids.length;
  }

  copy({ fromSlot, toSlot, count }: { fromSlot: number; toSlot: number; count: number }): void {
    this.tokens[toSlot]?.set(this.tokens[fromSlot]?.subarray(0, count) ?? []);
    this.lengths[toSlot] = count;
  }

  /** Tokens from position 0 on that a slot has in common with `ids`. */
  commonPrefix(slot: number, ids: Uint32Array): number {
    const held = this.tokens[slot] ?? new Uint32Array();
    const limit = Math.min(this.length(slot), ids.length);
    let count = 0;
    while (count < limit && held[count] === ids[count]) count++;
    return count;
  }
}
