import type { LayerRange, Row } from '@pangalactic/contracts';
import { kvNames } from '../compiler/graph-names';
import { Tensor } from '../onnxruntime';
import type { NamedTensors } from './graph-session';

interface KvShape {
  readonly slots: number;
  /** Tokens that a slot holds. */
  readonly positions: number;
  readonly kvHeads: number;
  readonly headSize: number;
}

/** Keys or values of one layer. */
interface Cache {
  readonly past: string;
  readonly present: string;
  readonly values: Float32Array;
}

/** Neighbouring slots under the names of the graph's inputs and, the same tensors, of its outputs. */
export interface KvTensors {
  readonly past: NamedTensors;
  readonly present: NamedTensors;
}

/**
 * The KV cache of a shard: for each layer one array for keys and one for values, [slots, kvHeads, positions, headSize]
 * float32. A run reads and writes the same memory, so a slot never moves.
 */
export class KvArena {
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

  /** Of `count` neighbouring slots. Made once for each range. */
  tensors(firstSlot: number, count: number): KvTensors {
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
  store(rows: readonly Row[], present: NamedTensors, firstSlot: number): void {
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

  /** Copies the first `count` positions of a slot to another. */
  copy(fromSlot: number, toSlot: number, count: number): void {
    const { kvHeads, positions, headSize } = this.shape;
    for (const { values } of this.caches) {
      for (let head = 0; head < kvHeads; head++) {
        const from = fromSlot * this.slotFloats + head * positions * headSize;
        const to = toSlot * this.slotFloats + head * positions * headSize;
        values.copyWithin(to, from, from + count * headSize);
      }
    }
  }

  /** @returns puts the first position of these slots back to what it is now */
  saveFirstPosition(slots: readonly number[]): () => void {
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
