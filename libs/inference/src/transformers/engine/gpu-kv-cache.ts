import type { LayerRange, Row } from '@pangalactic/contracts';
import { kvNames } from '../compiler/graph-names';
import { Tensor } from '../onnxruntime';
import type { NamedTensors } from './graph-session';
import { GpuMemory } from './gpu-memory';
import { GpuSlotMover } from './gpu-slot-mover';
import type { KvCache, KvShape, KvTensors, RunOnLanes } from './kv-cache';
import { layLanes } from './lanes';

/** Keys or values of one layer, [slots, kvHeads, positions, headSize]. */
interface Cache {
  readonly past: string;
  readonly present: string;
  readonly tensor: Tensor;
}

/**
 * In the GPU's memory, which no step leaves: a run reads and writes it in place. onnxruntime-node can show a graph the
 * first n slots of a tensor, but no others, so slots have places and change them: the one that a single row is for moves
 * to the front, and several rows run on the places up to the last of theirs. A sequence moves when its turn begins, not
 * in every step.
 */
export class GpuKvCache implements KvCache {
  /** Where each slot lies. */
  private readonly places: number[];
  private readonly tensorsByLanes = new Map<number, KvTensors>();

  private constructor(
    private readonly caches: readonly Cache[],
    private readonly memory: GpuMemory,
    private readonly mover: GpuSlotMover,
    private readonly shape: KvShape,
  ) {
    this.places = Array.from({ length: shape.slots }, (_, slot) => slot);
  }

  /** @param shape one position more than a sequence may have: an idle lane writes behind the tokens of its slot */
  static async open(layers: LayerRange, shape: KvShape): Promise<GpuKvCache> {
    const names: Omit<Cache, 'tensor'>[] = [];
    for (let layer = layers.from; layer < layers.to; layer++) {
      const { pastKey, pastValue, presentKey, presentValue } = kvNames(layer);
      names.push({ past: pastKey, present: presentKey }, { past: pastValue, present: presentValue });
    }
    const { slots, kvHeads, positions, headSize } = shape;
    const memory = await GpuMemory.allocate(names.length, [slots, kvHeads, positions, headSize]);
    const mover = await GpuSlotMover.open(memory.tensors);
    const caches = names.map((name, index) => ({ ...name, tensor: memory.tensors[index]! }));
    return new GpuKvCache(caches, memory, mover, shape);
  }

  async step(rows: readonly Row[], validLength: (slot: number) => number, run: RunOnLanes): Promise<NamedTensors> {
    if (rows.length === 1) await this.bringToFront(rows[0]!.slot);
    const placed = rows.map((row) => ({ ...row, slot: this.places[row.slot]! }));
    const range = { firstSlot: 0, lanes: Math.max(...placed.map(({ slot }) => slot)) + 1 };
    const lanes = layLanes(placed, range, (place) => validLength(this.places.indexOf(place)));
    return run(lanes, this.tensors(range.lanes));
  }

  async copy(fromSlot: number, toSlot: number): Promise<void> {
    await this.mover.copy([{ from: this.places[fromSlot]!, to: this.places[toSlot]! }]);
  }

  async close(): Promise<void> {
    await this.mover.close();
    await this.memory.free();
  }

  private async bringToFront(slot: number): Promise<void> {
    const place = this.places[slot]!;
    if (place === 0) return;
    await this.mover.copy([
      { from: place, to: 0 },
      { from: 0, to: place },
    ]);
    this.places[this.places.indexOf(0)] = place;
    this.places[slot] = 0;
  }

  /** The first `lanes` places. Made once for each number. */
  private tensors(lanes: number): KvTensors {
    let tensors = this.tensorsByLanes.get(lanes);
    if (!tensors) {
      const { kvHeads, positions, headSize } = this.shape;
      const dims = [lanes, kvHeads, positions, headSize];
      tensors = { past: {}, present: {} };
      for (const { past, present, tensor } of this.caches) {
        const view = Tensor.fromGpuBuffer(tensor.gpuBuffer, { dataType: 'float32', dims });
        tensors.past[past] = view;
        tensors.present[present] = view;
      }
      this.tensorsByLanes.set(lanes, tensors);
    }
    return tensors;
  }
}
