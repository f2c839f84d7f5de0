import type { Row } from '@pangalactic/contracts';
import { INPUT } from '../compiler/graph-names';
import { Tensor } from '../onnxruntime';
import type { NamedTensors } from './graph-session';

/** Neighbouring parts of a KV cache, each of one sequence. */
export interface LaneRange {
  readonly first: number;
  readonly count: number;
}

/** A row of a step, by the part of the KV cache that its slot has. */
export type LaneRow = Pick<Row, 'start' | 'count'> & { readonly lane: number };

/** The index inputs of a run, see INPUT in graph-names.ts. */
export interface Lanes {
  readonly range: LaneRange;
  readonly tokensPerLane: number;
  readonly laneTokens: BigInt64Array;
  readonly tokenLanes: BigInt64Array;
  readonly lastPositions: Int32Array;
  readonly longest: number;
  /** Those of the range that no row is for. */
  readonly idle: readonly number[];
}

/** The shortest range with all lanes. */
export function spanOf(lanes: readonly number[]): LaneRange {
  const first = Math.min(...lanes);
  return { first, count: Math.max(...lanes) - first + 1 };
}

/**
 * Lays a step's rows over a range of lanes. A lane without a row is idle: nothing it computes is used, but the kernel still
 * writes one position and attends to all before it.
 * @param rows one row of any length or several of one token: the kernel takes more tokens only in a single lane
 * @param idlePosition where an idle lane writes
 */
export function layLanes(rows: readonly LaneRow[], range: LaneRange, idlePosition: (lane: number) => number): Lanes {
  const tokensPerLane = rows.length === 1 ? rows[0]!.count : 1;
  const laneTokens = new BigInt64Array(range.count * tokensPerLane);
  const tokenLanes = new BigInt64Array(rows.length * tokensPerLane);
  const lastPositions = new Int32Array(range.count);
  const idle = new Set(Array.from({ length: range.count }, (_, index) => range.first + index));
  let token = 0;
  for (const { lane, start, count } of rows) {
    const index = lane - range.first;
    idle.delete(lane);
    lastPositions[index] = start + count - 1;
    for (let i = 0; i < count; i++, token++) {
      laneTokens[index * tokensPerLane + i] = BigInt(token);
      tokenLanes[token] = BigInt(index * tokensPerLane + i);
    }
  }
  for (const lane of idle) lastPositions[lane - range.first] = idlePosition(lane);
  const longest = Math.max(...lastPositions) + 1;
  return { range, tokensPerLane, laneTokens, tokenLanes, lastPositions, longest, idle: [...idle] };
}

/** @param tokens of the step */
export function laneTensors(lanes: Lanes, tokens: number): NamedTensors {
  const { count } = lanes.range;
  return {
    [INPUT.laneTokens]: new Tensor('int64', lanes.laneTokens, [count, lanes.tokensPerLane]),
    [INPUT.tokenLanes]: new Tensor('int64', lanes.tokenLanes, [tokens]),
    [INPUT.lastPositions]: new Tensor('int32', lanes.lastPositions, [count]),
    [INPUT.longest]: new Tensor('int32', Int32Array.of(lanes.longest), [1]),
  };
}
