import { describe, expect, it } from 'vitest';
import { layLanes, spanOf } from './lanes';

describe('spanOf', () => {
  it.each([
    [[2], { first: 2, count: 1 }],
    [[3, 0], { first: 0, count: 4 }],
    [[1, 2], { first: 1, count: 2 }],
  ])('of the lanes %j is %j', (lanes, span) => {
    expect(spanOf(lanes)).toEqual(span);
  });
});

describe('layLanes', () => {
  it('lays a chunk over one lane', () => {
    const range = { first: 2, count: 1 };
    expect(layLanes([{ lane: 2, start: 30, count: 3 }], range, () => 0)).toEqual({
      range,
      tokensPerLane: 3,
      laneTokens: BigInt64Array.of(0n, 1n, 2n),
      tokenLanes: BigInt64Array.of(0n, 1n, 2n),
      lastPositions: Int32Array.of(32),
      longest: 33,
      idle: [],
    });
  });

  it('lets the lanes without a row write where the caller says', () => {
    const range = { first: 0, count: 5 };
    const rows = [
      { lane: 3, start: 39, count: 1 },
      { lane: 0, start: 9, count: 1 },
    ];
    expect(layLanes(rows, range, (lane) => 10 * lane)).toEqual({
      range,
      tokensPerLane: 1,
      laneTokens: BigInt64Array.of(1n, 0n, 0n, 0n, 0n),
      tokenLanes: BigInt64Array.of(3n, 0n),
      lastPositions: Int32Array.of(9, 10, 20, 39, 40),
      longest: 41,
      idle: [1, 2, 4],
    });
  });
});
