import { beforeEach, describe, expect, it } from 'vitest';
import { reusableTokens, SlotPool } from './slot-pool';

const conversation = (first: number, length: number) => Uint32Array.from({ length }, (_, index) => first + index);
const [A, B, C] = [conversation(1_000, 100), conversation(2_000, 100), conversation(3_000, 100)];
const beginningOf = (ids: Uint32Array, count: number, then = conversation(9_000, 30)) =>
  Uint32Array.from([...ids.subarray(0, count), ...then]);

describe('SlotPool', () => {
  let pool: SlotPool;
  const acquire = (ids: Uint32Array) => pool.acquire(ids, ids.length);
  /** A sequence that takes a slot, feeds its ids and ends. */
  const pass = (ids: Uint32Array) => {
    const { slot, reusedTokens } = acquire(ids);
    pool.feed(slot, reusedTokens, ids.subarray(reusedTokens));
    pool.release(slot);
    return slot;
  };

  beforeEach(() => {
    pool = new SlotPool({ slots: 3, contextLength: 256 });
  });

  it('takes slots that were never used first, then the one that was free for longest', () => {
    expect([pass(A), pass(B), pass(C), pass(conversation(4_000, 50))]).toEqual([0, 1, 2, 0]);
  });

  it('gives each holder a generation of its own', () => {
    pool = new SlotPool({ slots: 1, contextLength: 256 });
    expect(acquire(A)).toMatchObject({ slot: 0, generation: 1 });
    pool.release(0);
    expect(acquire(A)).toMatchObject({ slot: 0, generation: 2 });
    expect([pool.used, pool.free]).toEqual([1, 0]);
  });

  it('goes on in the slot that kept most of a sequence', () => {
    pass(A);
    pass(B);
    expect(acquire(beginningOf(A, 100))).toEqual({ slot: 0, generation: 2, reusedTokens: 100 });
  });

  it('copies a short prefix, so that the slot keeps the rest for its own next turn', () => {
    pass(A);
    pass(B);
    expect(acquire(beginningOf(A, 40))).toEqual({ slot: 2, generation: 1, reusedTokens: 40, copyFrom: 0 });
    expect(acquire(beginningOf(A, 100))).toMatchObject({ slot: 0, reusedTokens: 100 });
  });

  it('copies from a slot that a sequence holds', () => {
    const { slot } = acquire(A);
    pool.feed(slot, 0, A.subarray(0, 64));
    expect(acquire(A)).toEqual({ slot: 1, generation: 1, reusedTokens: 64, copyFrom: 0 });
  });

  it('cuts the source short when no other slot is free', () => {
    pass(A);
    acquire(B);
    acquire(C);
    expect(acquire(beginningOf(A, 40))).toEqual({ slot: 0, generation: 2, reusedTokens: 40 });
    expect(() => acquire(A)).toThrow('no slot is free');
  });

  it('keeps a prefix that is copied again and again', () => {
    pass(A);
    const users = [1, 2, 3, 4, 5].map((user) => beginningOf(A, 40, conversation(9_000 + 1_000 * user, 60)));
    for (const ids of users) expect(pass(ids)).not.toBe(0);
    expect(pool.reusablePrefix(beginningOf(A, 100), 130)).toBe(100);
  });

  it('does not reuse the first words that all chats share', () => {
    pass(A);
    expect(acquire(beginningOf(A, 15))).toEqual({ slot: 1, generation: 1, reusedTokens: 0 });
  });
});

describe('reusableTokens', () => {
  it.each([
    ['a part of the prompt', 50, 100, 100, 50],
    ['a whole prompt but its last two tokens', 100, 100, 100, 98],
    ['all but one token of a prompt', 99, 100, 100, 98],
    ['all but two', 98, 100, 100, 98],
    ['a prompt with emitted tokens behind it', 100, 100, 120, 100],
    ['all but the last token of a prompt that goes on', 99, 100, 120, 98],
    ['some emitted tokens', 110, 100, 120, 110],
    ['all emitted tokens but the last', 120, 100, 120, 119],
    ['too little', 15, 100, 100, 0],
    ['a short prompt', 17, 17, 17, 0],
    ['a prompt of one token', 1, 1, 1, 0],
  ])('takes %s', (_case, common, promptLength, length, expected) => {
    expect(reusableTokens(common, promptLength, length)).toBe(expected);
  });
});
