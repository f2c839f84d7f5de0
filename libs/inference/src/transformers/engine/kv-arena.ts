import type { LayerRange, Row } from '@pangalactic/contracts';
import { kvPairs } from '../compiler/graph-names';
import { Tensor } from '../onnxruntime';
import type { NamedTensors } from './graph-session';
import type { KvCache, KvShape, KvTensors, RunOnLanes } from './kv-cache';
import { type LaneRange, type LaneRow, layLanes, spanOf } from './lanes';

/** Keys or values of one layer. */
interface Cache {
  readonly past: string;
  readonly present: string;
  readonly values: Float32Array;
}

/** In JavaScript's memory, one array for the keys and one for the values of a layer. A run reads and writes it in place. */
export class KvArena implements KvCache {
  private readonly caches: readonly Cache[];
  private readonly tensorsByRange = new Map<number, KvTensors>();

  constructor(
    layers: LayerRange,
    private readonly shape: KvShape,
  ) {
    const floats = shape.slots * this.slotFloats;
    this.caches = kvPairs(layers).map((names) => ({ ...names, values: new Float32Array(floats) }));
  }

  /**
   * An idle lane writes the first position of its slot, which is then put back: behind the valid tokens, it would take as
   * long as a lane with a row.
   */
  async step(rows: readonly Row[], validLength: (slot: number) => number, run: RunOnLanes): Promise<NamedTensors> {
    const laneRows = rows.map(({ slot, start, count }) => ({ lane: slot, start, count }));
    const lanes = layLanes(laneRows, spanOf(rows.map(({ slot }) => slot)), () => 0);
    const restore = this.saveFirstPosition(lanes.idle.filter((slot) => validLength(slot) > 0));
    const outputs = await run(lanes, this.tensors(lanes.range));
    restore();
    this.store(laneRows, outputs, lanes.range.first);
    return outputs;
  }

  copy(fromSlot: number, toSlot: number, count: number): Promise<void> {
    const { kvHeads, positions, headSize } = this.shape;
    for (const { values } of this.caches) {
      for (let head = 0; head < kvHeads; head++) {
        const from = fromSlot * this.slotFloats + head * positions * headSize;
        const to = toSlot * this.slotFloats + head * positions * headSize;
        values.copyWithin(to, from, from + count * headSize);
      }
    }
    return Promise.resolve();
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  /** Made once for each range. */
  private tensors({ first, count }: LaneRange): KvTensors {
    const key = first * this.shape.slots + count - 1;
    let tensors = this.tensorsByRange.get(key);
    if (!tensors) {
      const { kvHeads, positions, headSize } = this.shape;
      const [from, to] = [first * this.slotFloats, (first + count) * this.slotFloats];
      tensors = { past: {}, present: {} };
      for (const { past, present, values } of this.caches) {
        const tensor = new Tensor('float32', values.subarray(from, to), [count, kvHeads, positions, headSize]);
        tensors.past[past] = tensor;
        tensors.present[present] = tensor;
      }
      this.tensorsByRange.set(key, tensors);
    }
    return tensors;
  }

  /** Takes the positions that a run computed for these rows, unless it wrote them in place. */
  private store(rows: readonly LaneRow[], present: NamedTensors, firstLane: number): void {
    const { kvHeads, positions, headSize } = this.shape;
    for (const { present: name, values } of this.caches) {
      const computed = present[name]!.data as Float32Array;
      if (computed.buffer === values.buffer) return;
      for (const { lane, start, count } of rows) {
        for (let head = 0; head < kvHeads; head++) {
          const to = lane * this.slotFloats + (head * positions + start) * headSize;
          const from = to - firstLane * this.slotFloats;
          values.set(computed.subarray(from, from + count * headSize), to);
        }
      }
    }
  }

  /** @returns puts the first position of these slots back to what it is now */
  private saveFirstPosition(slots: readonly number[]): () => void {
    const { kvHeads, positions, headSize } = this.shape;
    const heads = slots.flatMap((slot) =>
      Array.from({ length: kvHeads }, (_, head) => slot * this.slotFloats + head * positions * headSize),
    );
    const saved = this.caches.flatMap(({ values }) =>
      heads.map((from) => ({ values, from, position: values.slice(from, from + headSize) })),
    );
    return () => {
      for (const { values, from, position } of saved) values.set(position, from);
    };
  }

  private get slotFloats(): number {
    return this.shape.kvHeads * this.shape.positions * this.shape.headSize;
  }
}
