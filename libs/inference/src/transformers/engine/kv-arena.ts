import type { LayerRange } from '@pangalactic/contracts';
import { Tensor } from '../onnxruntime';
import { kvNames } from '../compiler/shard-graph';

interface KvShape {
  readonly slots: number;
  /** Tokens that a slot holds. */
  readonly positions: number;
  readonly kvHeads: number;
  readonly headSize: number;
}

/** The same tensors by the names of the graph's inputs and of its outputs: the engine writes where it reads. */
export interface KvViews {
  readonly past: Readonly<Record<string, Tensor>>;
  readonly present: Readonly<Record<string, Tensor>>;
}

/**
 * The KV cache of a shard: for each layer one array for keys and one for values, [slots, kvHeads, positions, headSize]
 * float32. The engine writes into it in place, so a slot never moves.
 */
export class KvArena {
  private readonly arrays = new Map<string, Float32Array>();
  private readonly viewsByRange = new Map<number, KvViews>();
  readonly bytes: number;

  constructor(
    private readonly layers: LayerRange,
    private readonly shape: KvShape,
  ) {
    const floats = shape.slots * this.slotFloats;
    for (let layer = layers.from; layer < layers.to; layer++) {
      const { pastKey, pastValue } = kvNames(layer);
      this.arrays.set(pastKey, new Float32Array(floats));
      this.arrays.set(pastValue, new Float32Array(floats));
    }
    this.bytes = this.arrays.size * floats * 4;
  }

  /** Over `count` neighbouring slots. Made once for each range. */
  views(firstSlot: number, count: number): KvViews {
    const key = firstSlot * this.shape.slots + count - 1;
    let views = this.viewsByRange.get(key);
    if (!views) {
      views = this.makeViews(firstSlot, count);
      this.viewsByRange.set(key, views);
    }
    return views;
  }

  /** Copies the first `count` positions of a slot to another. */
  copy(fromSlot: number, toSlot: number, count: number): void {
    const { kvHeads, positions, headSize } = this.shape;
    for (const array of this.arrays.values()) {
      for (let head = 0; head < kvHeads; head++) {
        const from = fromSlot * this.slotFloats + head * positions * headSize;
        const to = toSlot * this.slotFloats + head * positions * headSize;
        array.copyWithin(to, from, from + count * headSize);
      }
    }
  }

  /** @returns puts the first position of these slots back to what it is now */
  saveFirstPosition(slots: readonly number[]): () => void {
    const { kvHeads, positions, headSize } = this.shape;
    const heads = slots.flatMap((slot) =>
      Array.from({ length: kvHeads }, (_, head) => slot * this.slotFloats + head * positions * headSize),
    );
    const saved = [...this.arrays.values()].flatMap((array) =>
      heads.map((from) => ({ array, from, values: array.slice(from, from + headSize) })),
    );
    return () => {
      for (const { array, from, values } of saved) array.set(values, from);
    };
  }

  private makeViews(firstSlot: number, count: number): KvViews {
    const { kvHeads, positions, headSize } = this.shape;
    const [from, to] = [firstSlot * this.slotFloats, (firstSlot + count) * this.slotFloats];
    const past: Record<string, Tensor> = {};
    const present: Record<string, Tensor> = {};
    for (let layer = this.layers.from; layer < this.layers.to; layer++) {
      const { pastKey, pastValue, presentKey, presentValue } = kvNames(layer);
      for (const [pastName, presentName] of [[pastKey, presentKey] as const, [pastValue, presentValue] as const]) {
        const values = this.arrays.get(pastName)!.subarray(from, to);
        past[pastName] = present[presentName] = new Tensor('float32', values, [count, kvHeads, positions, headSize]);
      }
    }
    return { past, present };
  }

  private get slotFloats(): number {
    return this.shape.kvHeads * this.shape.positions * this.shape.headSize;
  }
}
