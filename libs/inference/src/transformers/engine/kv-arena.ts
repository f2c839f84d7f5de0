import type { LayerRange, Row } from '@pangalactic/contracts';
import { kvNames } from '../compiler/graph-names';
import { Tensor } from '../onnxruntime';
import type { NamedTensors } from './graph-session';
import type { KvCache, KvShape, KvTensors, RunOnLanes } from './kv-cache';
import { layLanes, spanOf } from './lanes';

/** Keys or values of one layer. */
interface Cache {
  readonly past: string;
  readonly present: string;
  readonly values: Float32Array;
}

/** In JavaScript's memory, one array for the keys and one for the values of a layer. A run reads and writes it in place. */
export class KvArena implements KvCache {
  private readonly caches: Cache[] = [];
  private readonly tensorsByRange = new Map<number, KvTensors>();

  constructor(
    layers: LayerRange,
    private readonly shape: KvShape,
  ) {
    const floats = shape.slots * this.slotFloats;
    for (let layer = layers.from; layer < layers.to; layer++) {
      const { pastKey, pastValue, presentKey, presentValue } = kvNames(layer);
      this.caches.push({ past: pastKey, present: presentKey, values: new Float32Array(floats) });
      this.caches.push({ past: pastValue, present: presentValue, values: new Float32Array(floats) });
    }
  }

  /**
   * An idle lane writes the first position of its slot, which is then put back: behind the valid tokens, it would take as
   * long as a lane with a row.
   */
  async step(rows: readonly Row[], validLength: (slot: number) => number, run: RunOnLanes): Promise<NamedTensors> {
    const lanes = layLanes(rows, spanOf(rows.map(({ slot }) => slot)), () => 0);
    const restore = this.saveFirstPosition(lanes.idleSlots.filter((slot) => validLength(slot) > 0));
    const outputs = await run(lanes, this.tensors(lanes.firstSlot, lanes.lanes));
    restore();
    this.store(rows, outputs, lanes.firstSlot);
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

  /** Of `count` neighbouring slots. Made once for each range. */
  private tensors(firstSlot: number, count: number): KvTensors {
    const key = firstSlot * this.shape.slots + count - 1;
    let tensors = this.tensorsByRange.get(key);
    if (!tensors) {
      const { kvHeads, positions, headSize } = this.shape;
      const [from, to] = [firstSlot * this.slotFloats, (firstSlot + count) * this.slotFloats];
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
  private store(rows: readonly Row[], present: NamedTensors, firstSlot: number): void {
    const { kvHeads, positions, headSize } = this.shape;
    for (const { present: name, values } of this.caches) {
      const computed = present[name]!.data as Float32Array;
      if (computed.buffer === values.buffer) return;
      for (const { slot, start, count } of rows) {
        for (let head = 0; head < kvHeads; head++) {
          const to = slot * this.slotFloats + (head * positions + start) * headSize;
          const from = to - firstSlot * this.slotFloats;
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
