import type { Row } from '@pangalactic/contracts';
import type { Device, NamedTensors } from './graph-session';
import type { Lanes } from './lanes';

export interface KvShape {
  readonly slots: number;
  /** See kvPositions. */
  readonly positions: number;
  readonly kvHeads: number;
  readonly headSize: number;
}

/** Of each slot: on the GPU one more than a sequence has tokens, because an idle lane writes behind those of its slot. */
export function kvPositions(device: Device, contextLength: number): number {
  return contextLength + (device === 'gpu' ? 1 : 0);
}

/** Neighbouring lanes under the names of the graph's inputs and, the same tensors, of its outputs. */
export interface KvTensors {
  readonly past: NamedTensors;
  readonly present: NamedTensors;
}

/** @returns what the graph computed, by name */
export type RunOnLanes = (lanes: Lanes, kv: KvTensors) => Promise<NamedTensors>;

/** The keys and values of a shard's slots, for each layer [slots, kvHeads, positions, headSize] float32. */
export interface KvCache {
  /**
   * Runs a step on the slots of its rows, which hold the rows' keys and values afterwards.
   * @param rows one row of any length or several of one token: the kernel takes more tokens only in a single lane
   * @param validLength tokens in a slot, the step's included
   */
  step(rows: readonly Row[], validLength: (slot: number) => number, run: RunOnLanes): Promise<NamedTensors>;
  /** Copies the first `count` positions of a slot, or more, to another. */
  copy(fromSlot: number, toSlot: number, count: number): Promise<void>;
  close(): Promise<void>;
}
