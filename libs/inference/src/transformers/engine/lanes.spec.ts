import { describe, expect, it } from 'vitest';
import { layLanes } from './lanes';

const row = (slot: number, start: number, count: number) => ({ slot, generation: 1, start, count, sample: false });
const lengths = [10, 20, 30, 40];

describe('layLanes', () => {
  it('lays a chunk over one lane', () => {
    const lanes = layLanes([row(2, 30, 3)], (slot) => lengths[slot]!);
    expect(lanes).toEqual({
      firstSlot: 2,
      lanes: 1,
      tokensPerLane: 3,
      laneTokens: BigInt64Array.of(0n, 1n, 2n),
      tokenLanes: BigInt64Array.of(0n, 1n, 2n),
      lastPositions: Int32Array.of(32),
      longest: 33,
      overwritten: [],
    });
  });

  it('puts idle lanes between the slots of a decode step and says what they overwrite', () => {
    const lanes = layLanes([row(3, 39, 1), row(0, 9, 1)], (slot) => (slot === 1 ? 0 : lengths[slot]!));
    expect(lanes).toEqual({
      firstSlot: 0,
      lanes: 4,
      tokensPerLane: 1,
      laneTokens: BigInt64Array.of(1n, 0n, 0n, 0n),
      tokenLanes: BigInt64Array.of(3n, 0n),
      lastPositions: Int32Array.of(9, 0, 0, 39),
      longest: 40,
      overwritten: [2],
    });
  });
});
