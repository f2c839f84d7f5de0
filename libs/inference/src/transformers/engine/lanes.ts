import type { Row } from '@pangalactic/contracts';

/** The index inputs of a run, see INPUT in shard-graph.ts. */
export interface Lanes {
  readonly firstSlot: number;
  readonly lanes: number;
  readonly tokensPerLane: number;
  readonly laneTokens: BigInt64Array;
  readonly tokenLanes: BigInt64Array;
  readonly lastPositions: Int32Array;
  readonly longest: number;
  /** Slots of lanes without a row, whose first position is overwritten though they hold tokens. */
  readonly overwritten: readonly number[];
}

/**
 * Lays a step's rows over the range of slots they touch. Slots in between that have no row become idle lanes: nothing
 * they compute is used, but the kernel still writes one position and attends to all before it. They write the first one:
 * behind their valid tokens, they would take as long as a lane with a row.
 * @param rows one row of any length or several of one token: the kernel takes more tokens only in a single lane
 * @param validLength tokens in a slot's KV
 */
export function layLanes(rows: readonly Row[], validLength: (slot: number) => number): Lanes {
  const slots = rows.map(({ slot }) => slot);
  const firstSlot = Math.min(...slots);
  const lanes = Math.max(...slots) - firstSlot + 1;
  const tokensPerLane = rows.length === 1 ? rows[0]!.count : 1;
  const laneTokens = new BigInt64Array(lanes * tokensPerLane);
  const tokenLanes = new BigInt64Array(rows.length * tokensPerLane);
  const lastPositions = new Int32Array(lanes);
  const idle = new Set(Array.from({ length: lanes }, (_, lane) => firstSlot + lane));
  let token = 0;
  for (const { slot, start, count } of rows) {
    const lane = slot - firstSlot;
    idle.delete(slot);
    lastPositions[lane] = start + count - 1;
    for (let i = 0; i < count; i++, token++) {
      laneTokens[lane * tokensPerLane + i] = BigInt(token);
      tokenLanes[token] = BigInt(lane * tokensPerLane + i);
    }
  }
  const longest = Math.max(...lastPositions) + 1;
  const overwritten = [...idle].filter((slot) => validLength(slot) > 0);
  return { firstSlot, lanes, tokensPerLane, laneTokens, tokenLanes, lastPositions, longest, overwritten };
}
