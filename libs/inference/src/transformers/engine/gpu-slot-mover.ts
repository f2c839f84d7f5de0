import { GraphBuilder } from '../onnx/graph-builder';
import { OnnxType } from '../onnx/onnx-schema';
import { Tensor } from '../onnxruntime';
import { type GraphSession, type NamedTensors, openGraphSession } from './graph-session';

export interface SlotCopy {
  readonly from: number;
  readonly to: number;
}

const FROM = 'from';
const TO = 'to';

/** Copies whole slots of all tensors of a KV cache within the GPU's memory. */
export class GpuSlotMover {
  private constructor(
    private readonly session: GraphSession,
    private readonly caches: NamedTensors,
    private readonly moved: NamedTensors,
  ) {}

  /** @param tensors [slots, kvHeads, positions, headSize] float32, all of one shape */
  static async open(tensors: readonly Tensor[]): Promise<GpuSlotMover> {
    const graph = new GraphBuilder();
    const caches: NamedTensors = {};
    const moved: NamedTensors = {};
    graph.input(FROM, OnnxType.INT64, ['K']);
    graph.input(TO, OnnxType.INT64, ['K', 1]);
    tensors.forEach((tensor, index) => {
      const name = `cache${index}`;
      graph.input(name, OnnxType.FLOAT, tensor.dims);
      graph.node('Gather', { inputs: [name, FROM], outputs: [`${name}.slots`] });
      graph.node('ScatterND', { inputs: [name, TO, `${name}.slots`], outputs: [`${name}.moved`] });
      graph.output(`${name}.moved`, OnnxType.FLOAT, tensor.dims);
      caches[name] = tensor;
      moved[`${name}.moved`] = tensor;
    });
    const session = await openGraphSession(graph.encode('move_slots'), { device: 'gpu' });
    return new GpuSlotMover(session, caches, moved);
  }

  /** All slots are read before the first is written: two may change places. */
  async copy(copies: readonly SlotCopy[]): Promise<void> {
    const from = BigInt64Array.from(copies, ({ from }) => BigInt(from));
    const to = BigInt64Array.from(copies, ({ to }) => BigInt(to));
    const inputs = {
      [FROM]: new Tensor('int64', from, [copies.length]),
      [TO]: new Tensor('int64', to, [copies.length, 1]),
    };
    await this.session.run({ ...this.caches, ...inputs }, this.moved);
  }

  close(): Promise<void> {
    return this.session.close();
  }
}
