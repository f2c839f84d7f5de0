import { SlotTokens } from '../kv/slot-tokens';

/**
 * Tokens below which a common prefix is not worth keeping: a chunk this short takes about as long as one token, and without
 * the bound every chat would count the first words of its template as cached.
 */
export const SHORTEST_REUSED_PREFIX = 16;

/** A slot for a sequence, and how much of its tokens need not be computed. */
export interface Placement {
  readonly slot: number;
  /** Names the holder, so that late results of an earlier one show. */
  readonly generation: number;
  /** Tokens from the start that are in the slot's KV, once the copy is done. */
  readonly reusedTokens: number;
  /** Where those tokens are to be copied from; absent when the slot kept them itself. */
  readonly copyFrom?: number;
}

interface Slot {
  readonly index: number;
  free: boolean;
  generation: number;
  /** Grows with each acquisition and release; 0 for a slot that was never used. */
  lastUse: number;
}

interface Candidate {
  readonly slot: Slot;
  readonly reusable: number;
}

/**
 * The head's KV slots. A released slot keeps its tokens, so that a sequence which begins like an earlier one, or like one
 * that still runs, computes only what differs.
 */
export class SlotPool {
  private readonly slots: Slot[];
  private readonly tokens: SlotTokens;
  private uses = 0;

  constructor(options: { slots: number; contextLength: number }) {
    this.slots = Array.from({ length: options.slots }, (_, index) => ({
      index,
      free: true,
      generation: 0,
      lastUse: 0,
    }));
    this.tokens = new SlotTokens(options);
  }

  get free(): number {
    return this.slots.length - this.used;
  }

  get used(): number {
    return this.slots.filter(({ free }) => !free).length;
  }

  /** What `acquire` would reuse now. */
  reusablePrefix(ids: Uint32Array, promptLength: number): number {
    return Math.max(...this.candidates(ids, promptLength).map(({ reusable }) => reusable));
  }

  /**
   * Takes a free slot; there must be one.
   * @param promptLength of the ids: those after it are a completion's tokens, fed again
   */
  acquire(ids: Uint32Array, promptLength: number): Placement {
    const candidates = this.candidates(ids, promptLength);
    const longest = max(candidates, ({ reusable }) => reusable);
    const target = this.keeper(candidates, longest) ?? this.leastRecentlyUsed(candidates, longest);
    if (!longest || !target) throw new Error('no slot is free');
    const { slot, reusable } = target;
    slot.free = false;
    slot.generation += 1;
    this.touch(slot);
    const place = { slot: slot.index, generation: slot.generation };
    if (longest.reusable - reusable < SHORTEST_REUSED_PREFIX) return { ...place, reusedTokens: reusable };

    this.tokens.copy({ fromSlot: longest.slot.index, toSlot: slot.index, count: longest.reusable });
    if (longest.slot.free) this.touch(longest.slot);
    return { ...place, reusedTokens: longest.reusable, copyFrom: longest.slot.index };
  }

  /** A row is on its way to the stages. */
  feed(slot: number, start: number, ids: Uint32Array): void {
    this.tokens.feed(slot, start, ids);
  }

  release(index: number): void {
    const slot = this.slots[index];
    if (!slot) throw new Error(`there is no slot ${index}`);
    slot.free = true;
    this.touch(slot);
  }

  private candidates(ids: Uint32Array, promptLength: number): Candidate[] {
    return this.slots.map((slot) => {
      const common = this.tokens.commonPrefix(slot.index, ids);
      return { slot, reusable: reusableTokens(common, promptLength, ids.length) };
    });
  }

  /**
   * A free slot that goes on with most of what it holds, as a conversation's next turn does. One that would lose more than
   * it reuses stays as it is for whoever comes back to it: its prefix is copied.
   */
  private keeper(candidates: readonly Candidate[], longest: Candidate | undefined): Candidate | undefined {
    const atLeast = Math.max(SHORTEST_REUSED_PREFIX, (longest?.reusable ?? 0) - SHORTEST_REUSED_PREFIX + 1);
    const keepers = candidates.filter(
      ({ slot, reusable }) => slot.free && reusable >= atLeast && reusable >= this.tokens.length(slot.index) - reusable,
    );
    return max(keepers, ({ reusable }) => reusable);
  }

  /** The source of a copy only when no other is free. */
  private leastRecentlyUsed(candidates: readonly Candidate[], longest: Candidate | undefined): Candidate | undefined {
    const isSource = (candidate: Candidate) => candidate === longest && candidate.reusable > 0;
    const free = candidates.filter(({ slot }) => slot.free);
    return max(free, (candidate) => (isSource(candidate) ? -Infinity : -candidate.slot.lastUse));
  }

  private touch(slot: Slot): void {
    slot.lastUse = ++this.uses;
  }
}

/**
 * How much of a common prefix can be left out. At least one token is fed, for the logits after it; and never the last token
 * of a prompt alone: attention over a single new token rounds differently from attention over a chunk.
 */
export function reusableTokens(common: number, promptLength: number, length: number): number {
  const reusable = Math.min(common, length - 1);
  const whole = reusable === promptLength - 1 ? reusable - 1 : reusable;
  return whole < SHORTEST_REUSED_PREFIX ? 0 : whole;
}

/** The first of those with the largest value. */
function max<T>(items: readonly T[], value: (item: T) => number): T | undefined {
  let best: T | undefined;
  for (const item of items) if (best === undefined || value(item) > value(best)) best = item;
  return best;
}
