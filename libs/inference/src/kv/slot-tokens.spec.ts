import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { SlotTable } from './slot-table';
import { SlotTokens } from './slot-tokens';

const SIZE = { slots: 3, contextLength: 24 };

describe('SlotTokens', () => {
  it('finds what a slot has in common with other tokens', () => {
    const target = new SlotTokens(SIZE);
    target.feed(0, 0, Uint32Array.of(1, 2, 3));
    target.feed(0, 3, Uint32Array.of(4));
    const common = (...ids: number[]) => target.commonPrefix(0, Uint32Array.from(ids));
    expect([common(1, 2, 3, 4, 5), common(1, 2), common(1, 2, 9, 4), common(9), common()]).toEqual([4, 2, 2, 0, 0]);
    expect(target.commonPrefix(1, Uint32Array.of(0))).toBe(0);
  });

  it('forgets what a rewind cuts off', () => {
    const target = new SlotTokens(SIZE);
    target.feed(0, 0, Uint32Array.of(1, 2, 3, 4));
    target.feed(0, 1, Uint32Array.of(9));
    expect(target.commonPrefix(0, Uint32Array.of(1, 9, 3, 4))).toBe(2);
  });

  it('has the lengths of the slot table on the stages, after any messages', () => {
    const message = fc.record({
      slot: fc.nat(SIZE.slots - 1),
      from: fc.nat(SIZE.slots - 1),
      at: fc.nat(SIZE.contextLength - 1),
      count: fc.integer({ min: 1, max: 8 }),
      copies: fc.boolean(),
    });
    fc.assert(
      fc.property(fc.array(message, { maxLength: 60 }), (messages) => {
        const [tokens, table] = [new SlotTokens(SIZE), new SlotTable(SIZE)];
        for (let slot = 0; slot < SIZE.slots; slot++) table.start({ slot, generation: 1 });
        for (const { slot, from, at, count, copies } of messages) {
          if (copies && from !== slot && table.length(from) >= count) {
            table.copy({ fromSlot: from, toSlot: slot, count });
            tokens.copy({ fromSlot: from, toSlot: slot, count });
          } else {
            const start = Math.min(at, table.length(slot), SIZE.contextLength - count);
            table.accept([{ slot, generation: 1, start, count, sample: false }]);
            tokens.feed(slot, start, new Uint32Array(count));
          }
          expect(tokens.length(slot)).toBe(table.length(slot));
        }
      }),
    );
  });
});
