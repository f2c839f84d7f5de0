import { describe, expect, it } from 'vitest';
import { layLanes, spanOf } from './lanes';

const row = (slot: number, start: number, count: number) => ({ slot, generation: 1, start, count, sample: false });

describe('spanOf', () => {
  it.each([
    [[2], { firstSlot: 2, lanes: 1 }],
    [[3, 0], { firstSlot: 0, lanes: 4 }],
    [[1, 2], { firstSlot: 1, lanes: 2 }],
  ])('of the slots %j is %j', (slots, span) => {
    expect(spanOf(slots)).toEqual(span);
  });
});

describe('layLanes', () => {
  it('lays a chunk over one lane', () => {
    const lanes = layLanes([row(2, 30, 3)], { firstSlot: 2, lanes: 1 }, () => 0);
    expect(lanes).toEqual({
      firstSlot: 2,
      lanes: 1,
      tokensPerLane: 3,
      laneTokens: BigInt64Array.of(0n, 1n, 2n),
      tokenLanes: BigInt64Array.of(0n, 1n, 2n),
      lastPositions: Int32Array.of(32),
      longest: 33,
      idleSlots: [],
    });
  });

  it('lets the lanes without a row write where the caller says', () => {
    const lanes = layLanes([row(3, 39, 1), row(0, 9, 1)], { firstSlot: 0, lanes: 5 }, (slot) => 10 * slot);
    expect(lanes).toEqual({
      firstSlot: 0,
      lanes: 5,
      tokensPerLane: 1,
      laneTokens: BigInt64Array.of(1n, 0n, 0n, 0n, 0n),
      tokenLanes: BigInt64Array.of(3n, 0n),
      lastPositions: Int32Array.of(9, 10, 20, 39, 40),
      longest: 41,
      idleSlots: [1, 2, 4],
    });
  });
});
