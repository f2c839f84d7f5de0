import type { Row } from '@pangalactic/contracts';
import { INPUT } from '../compiler/graph-names';
import { Tensor } from '../onnxruntime';
import type { NamedTensors } from './graph-session';

/** Neighbouring slots. */
export interface SlotRange {
  readonly firstSlot: number;
  readonly lanes: number;
}

/** The index inputs of a run, see INPUT in graph-names.ts. */
export interface Lanes extends SlotRange {
  readonly tokensPerLane: number;
  readonly laneTokens: BigInt64Array;
  readonly tokenLanes: BigInt64Array;
  readonly lastPositions: Int32Array;
  readonly longest: number;
  /** Slots of the range that no row is for. */
  readonly idleSlots: readonly number[];
}

/** The shortest range with all slots. */
export function spanOf(slots: readonly number[]): SlotRange {
  const firstSlot = Math.min(...slots);
  return { firstSlot, lanes: Math.max(...slots) - firstSlot + 1 };
}

/**
 * Lays a step's rows over a range of slots. Slots that have no row become idle lanes: nothing they compute is used, but
 * the kernel still writes one position and attends to all before it.
 * @param rows one row of any length or several of one token: the kernel takes more tokens only in a single lane
 * @param idlePosition where an idle lane writes
 */
export function layLanes(
  rows: readonly Row[],
  { firstSlot, lanes }: SlotRange,
  idlePosition: (slot: number) => number,
): Lanes {
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
  for (const slot of idle) lastPositions[slot - firstSlot] = idlePosition(slot);
  const longest = Math.max(...lastPositions) + 1;
  return { firstSlot, lanes, tokensPerLane, laneTokens, tokenLanes, lastPositions, longest, idleSlots: [...idle] };
}

/** @param tokens of the step */
export function laneTensors(lanes: Lanes, tokens: number): NamedTensors {
  return {
    [INPUT.laneTokens]: new Tensor('int64', lanes.laneTokens, [lanes.lanes, lanes.tokensPerLane]),
    [INPUT.tokenLanes]: new Tensor('int64', lanes.tokenLanes, [tokens]),
    [INPUT.lastPositions]: new Tensor('int32', lanes.lastPositions, [lanes.lanes]),
    [INPUT.longest]: new Tensor('int32', Int32Array.of(lanes.longest), [1]),
  };
}
