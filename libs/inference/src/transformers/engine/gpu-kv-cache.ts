import type { LayerRange, Row } from '@pangalactic/contracts';
import { kvPairs } from '../compiler/graph-names';
import { Tensor } from '../onnxruntime';
import { GpuSlotMover } from './gpu-slot-mover';
import { GpuTensors } from './gpu-tensors';
import type { NamedTensors } from './graph-session';
import type { KvCache, KvShape, KvTensors, RunOnLanes } from './kv-cache';
import { layLanes, spanOf } from './lanes';

/**
 * In the GPU's memory, which no step leaves: a run reads and writes it in place. onnxruntime-node can show a run the first
 * n lanes of a tensor, but no others, so slots change places: one that a chunk of several tokens is for moves to the
 * front, and so does one that is alone in two steps in a row. Everything else runs on the lanes up to the last of its
 * slots. An idle lane writes behind the tokens of its slot.
 */
export class GpuKvCache implements KvCache {
  /** By slot. */
  private readonly lanes: number[];
  private readonly tensorsByCount = new Map<number, KvTensors>();
  /** The slot that the last step was for, if it was for one only. */
  private alone: number | undefined;

  private constructor(
    private readonly layers: LayerRange,
    private readonly shape: KvShape,
    private readonly memory: GpuTensors,
    private readonly mover: GpuSlotMover,
  ) {
    this.lanes = Array.from({ length: shape.slots }, (_, slot) => slot);
  }

  static async open(layers: LayerRange, shape: KvShape): Promise<GpuKvCache> {
    const { slots, kvHeads, positions, headSize } = shape;
    const memory = await GpuTensors.allocate(kvPairs(layers).length, [slots, kvHeads, positions, headSize]);
    return new GpuKvCache(layers, shape, memory, await GpuSlotMover.open(memory.tensors));
  }

  async step(rows: readonly Row[], validLength: (slot: number) => number, run: RunOnLanes): Promise<NamedTensors> {
    const [first] = rows as [Row];
    const alone = rows.length === 1 ? first.slot : undefined;
    if (first.count > 1 || (alone !== undefined && alone === this.alone)) await this.bringToFront(first.slot);
    this.alone = alone;
    const laneRows = rows.map(({ slot, start, count }) => ({ lane: this.lanes[slot]!, start, count }));
    const range = spanOf([0, ...laneRows.map(({ lane }) => lane)]);
    const lanes = layLanes(laneRows, range, (lane) => validLength(this.lanes.indexOf(lane)));
    return run(lanes, this.tensors(range.count));
  }

  async copy(fromSlot: number, toSlot: number): Promise<void> {
    await this.mover.copy([{ from: this.lanes[fromSlot]!, to: this.lanes[toSlot]! }]);
  }

  async close(): Promise<void> {
    await this.mover.close();
    await this.memory.free();
  }

  private async bringToFront(slot: number): Promise<void> {
    const lane = this.lanes[slot]!;
    if (lane === 0) return;
    await this.mover.copy([
      { from: lane, to: 0 },
      { from: 0, to: lane },
    ]);
    this.lanes[this.lanes.indexOf(0)] = lane;
    this.lanes[slot] = 0;
  }

  /** The first `count` lanes. Made once for each number. */
  private tensors(count: number): KvTensors {
    let tensors = this.tensorsByCount.get(count);
    if (!tensors) {
      const { kvHeads, positions, headSize } = this.shape;
      const dims = [count, kvHeads, positions, headSize];
      tensors = { past: {}, present: {} };
      for (const [index, { past, present }] of kvPairs(this.layers).entries()) {
        const { gpuBuffer } = this.memory.tensors[index]!;
        const view = Tensor.fromGpuBuffer(gpuBuffer, { dataType: 'float32', dims });
        tensors.past[past] = view;
        tensors.present[present] = view;
      }
      this.tensorsByCount.set(count, tensors);
    }
    return tensors;
  }
}
