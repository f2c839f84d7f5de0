import { beforeEach, describe, expect, it } from 'vitest';
import type { Row } from '@pangalactic/contracts';
import { SlotTable } from './slot-table';

const row = (slot: number, generation: number, start: number, count = 1): Row => ({
  slot,
  generation,
  start,
  count,
  sample: true,
});

describe('SlotTable', () => {
  let table: SlotTable;

  beforeEach(() => {
    table = new SlotTable({ slots: 3, contextLength: 16 });
    table.start({ slot: 0, generation: 1 });
    table.start({ slot: 1, generation: 4 });
  });

  it('advances a slot by the rows it accepts', () => {
    table.accept([row(0, 1, 0, 5)]);
    table.accept([row(0, 1, 5), row(1, 4, 0)]);
    expect([table.length(0), table.length(1), table.length(2)]).toEqual([6, 1, 0]);
  });

  it('rewinds to the start of a row below the valid length', () => {
    table.accept([row(0, 1, 0, 10)]);
    table.accept([row(0, 1, 4, 2)]);
    expect(table.length(0)).toBe(6);
  });

  it('fills a slot to its last token', () => {
    table.accept([row(0, 1, 0, 16)]);
    expect(table.length(0)).toBe(16);
  });

  it('copies the first tokens of a slot, also of a released one', () => {
    table.accept([row(0, 1, 0, 10)]);
    table.release({ slot: 0, generation: 1 });
    table.copy({ fromSlot: 0, toSlot: 1, count: 7 });
    expect(table.length(1)).toBe(7);
    table.accept([row(1, 4, 7)]);
  });

  it('keeps the tokens of a released slot for the next sequence', () => {
    table.accept([row(0, 1, 0, 10)]);
    table.release({ slot: 0, generation: 1 });
    table.start({ slot: 0, generation: 2 });
    table.accept([row(0, 2, 8, 4)]);
    expect(table.length(0)).toBe(12);
  });

  it.each<[string, Row[], string, RegExp]>([
    ['a gap', [row(0, 1, 1)], 'kv_gap', /starts at 1, its KV ends at 0/],
    ['no rows', [], 'invalid_frame', /without rows/],
    ['an unknown slot', [row(3, 1, 0)], 'invalid_frame', /slot 3: allowed are 0 to 2/],
    ['a slot that is not started', [row(2, 1, 0)], 'invalid_frame', /no sequence holds it/],
    ['a stale generation', [row(1, 3, 0)], 'invalid_frame', /generation 3 is stale, 4 holds it/],
    ['a generation to come', [row(1, 5, 0)], 'invalid_frame', /generation 5/],
    ['no tokens', [row(0, 1, 0, 0)], 'invalid_frame', /0 tokens/],
    ['a fraction of a token', [row(0, 1, 0, 1.5)], 'invalid_frame', /1.5 tokens/],
    ['a negative start', [row(0, 1, -1)], 'invalid_frame', /at -1/],
    ['more than the context', [row(0, 1, 0, 17)], 'invalid_frame', /beyond the context of 16/],
    ['a slot twice', [row(0, 1, 0), row(0, 1, 1)], 'invalid_frame', /two rows/],
    ['a chunk beside another row', [row(0, 1, 0, 2), row(1, 4, 0)], 'invalid_frame', /2 tokens beside other rows/],
  ])('refuses a step with %s and changes nothing', (_case, rows, code, message) => {
    expect(() => table.accept(rows)).toThrow(
      expect.objectContaining({ code, message: expect.stringMatching(message) as string }),
    );
    expect([0, 1, 2].map((slot) => table.length(slot))).toEqual([0, 0, 0]);
  });

  it('refuses a whole step when only its last row is wrong', () => {
    expect(() => table.accept([row(0, 1, 0), row(1, 4, 2)])).toThrow(expect.objectContaining({ code: 'kv_gap' }));
    expect(table.length(0)).toBe(0);
  });

  it.each<[string, (table: SlotTable) => void, string]>([
    ['start of a held slot', (t) => t.start({ slot: 0, generation: 2 }), 'invalid_frame'],
    ['start of an unknown slot', (t) => t.start({ slot: -1, generation: 2 }), 'invalid_frame'],
    ['start without a generation', (t) => t.start({ slot: 2, generation: 0 }), 'invalid_frame'],
    ['release of a free slot', (t) => t.release({ slot: 2, generation: 1 }), 'invalid_frame'],
    ['release by a stale holder', (t) => t.release({ slot: 1, generation: 3 }), 'invalid_frame'],
    ['copy beyond what is valid', (t) => t.copy({ fromSlot: 0, toSlot: 1, count: 1 }), 'kv_gap'],
    ['copy of nothing', (t) => t.copy({ fromSlot: 0, toSlot: 1, count: 0 }), 'invalid_frame'],
    ['copy to itself', (t) => t.copy({ fromSlot: 0, toSlot: 0, count: 1 }), 'invalid_frame'],
    ['copy to a free slot', (t) => t.copy({ fromSlot: 0, toSlot: 2, count: 1 }), 'invalid_frame'],
  ])('refuses a %s', (_case, command, code) => {
    expect(() => command(table)).toThrow(expect.objectContaining({ code }));
  });

  it('refuses a generation that a slot has seen', () => {
    table.release({ slot: 1, generation: 4 });
    expect(() => table.start({ slot: 1, generation: 4 })).toThrow(expect.objectContaining({ code: 'invalid_frame' }));
  });
});
