import { PangalacticError, type Row } from '@pangalactic/contracts';
import type { SlotCommand } from '../inference-provider';

interface Slot {
  /** Of the sequence that holds or last held the slot; 0 before the first. */
  generation: number;
  live: boolean;
  /** Tokens whose keys and values are valid, from position 0. */
  length: number;
}

type StartCommand = Pick<Extract<SlotCommand, { kind: 'start' }>, 'slot' | 'generation'>;
type CopyCommand = Pick<Extract<SlotCommand, { kind: 'copy' }>, 'fromSlot' | 'toSlot' | 'count'>;
type ReleaseCommand = Pick<Extract<SlotCommand, { kind: 'release' }>, 'slot' | 'generation'>;

/**
 * What a stage knows of its KV slots. Every command and step passes here before any native code sees it: a refused one
 * changes nothing.
 *
 * Slots keep their tokens when they are released and started again, so that a sequence may begin inside a prefix that an
 * earlier one left: its first row then starts above 0. A row at 0 rewinds the slot and forgets them.
 */
export class SlotTable {
  private readonly slots: Slot[];
  private readonly contextLength: number;

  constructor(options: { slots: number; contextLength: number }) {
    this.slots = Array.from({ length: options.slots }, () => ({ generation: 0, live: false, length: 0 }));
    this.contextLength = options.contextLength;
  }

  /** Valid tokens of a slot. */
  length(slot: number): number {
    return this.slot(slot).length;
  }

  start({ slot: index, generation }: StartCommand): void {
    const slot = this.slot(index);
    if (slot.live) {
      throw invalidFrame(`start of slot ${index}: generation ${slot.generation} still holds it`);
    }
    if (!Number.isInteger(generation) || generation <= slot.generation) {
      throw invalidFrame(`start of slot ${index}: generation ${generation} is not above ${slot.generation}`);
    }
    slot.generation = generation;
    slot.live = true;
  }

  copy({ fromSlot, toSlot, count }: CopyCommand): void {
    const from = this.slot(fromSlot);
    const to = this.slot(toSlot);
    if (from === to) throw invalidFrame(`copy of slot ${fromSlot} to itself`);
    if (!to.live) throw invalidFrame(`copy to slot ${toSlot}, which no sequence holds`);
    requireCount(count, `copy from slot ${fromSlot}`);
    if (count > from.length) {
      throw new PangalacticError('kv_gap', `copy of ${count} tokens from slot ${fromSlot}, which holds ${from.length}`);
    }
    to.length = count;
  }

  release({ slot, generation }: ReleaseCommand): void {
    this.liveSlot(slot, generation).live = false;
  }

  /** Checks all rows of a step, then advances their slots. */
  accept(rows: readonly Row[]): void {
    if (rows.length === 0) throw invalidFrame('a step without rows');
    const seen = new Set<number>();
    for (const row of rows) {
      if (seen.has(row.slot)) throw invalidFrame(`slot ${row.slot} has two rows in one step`);
      seen.add(row.slot);
      this.check(row, rows.length);
    }
    for (const row of rows) this.slot(row.slot).length = row.start + row.count;
  }

  private check(row: Row, rowsInStep: number): void {
    const { length } = this.liveSlot(row.slot, row.generation);
    requireCount(row.count, `row of slot ${row.slot}`);
    // Attention over several new tokens takes one sequence at a time.
    if (row.count > 1 && rowsInStep > 1) {
      throw invalidFrame(`row of slot ${row.slot} has ${row.count} tokens beside other rows: allowed is 1`);
    }
    if (!Number.isInteger(row.start) || row.start < 0) throw invalidFrame(`row of slot ${row.slot} at ${row.start}`);
    if (row.start > length) {
      throw new PangalacticError('kv_gap', `row of slot ${row.slot} starts at ${row.start}, its KV ends at ${length}`);
    }
    if (row.start + row.count > this.contextLength) {
      throw invalidFrame(
        `row of slot ${row.slot} ends at ${row.start + row.count}, beyond the context of ${this.contextLength} tokens`,
      );
    }
  }

  private slot(index: number): Slot {
    const slot = this.slots[index];
    if (!slot) throw invalidFrame(`slot ${index}: allowed are 0 to ${this.slots.length - 1}`);
    return slot;
  }

  private liveSlot(index: number, generation: number): Slot {
    const slot = this.slot(index);
    if (!slot.live) throw invalidFrame(`slot ${index}: no sequence holds it`);
    if (slot.generation !== generation) {
      throw invalidFrame(`slot ${index}: generation ${generation} is stale, ${slot.generation} holds it`);
    }
    return slot;
  }
}

function requireCount(count: number, what: string): void {
  if (!Number.isInteger(count) || count < 1) throw invalidFrame(`${what}: ${count} tokens, allowed is 1 or more`);
}

function invalidFrame(message: string): PangalacticError {
  return new PangalacticError('invalid_frame', message);
}
