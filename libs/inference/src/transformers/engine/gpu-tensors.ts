import { GraphBuilder } from '../onnx/graph-builder';
import { OnnxType } from '../onnx/onnx-schema';
import { InferenceSession, Tensor } from '../onnxruntime';
import { WEBGPU } from './graph-session';

/**
 * Tensors of zeros in the GPU's memory. onnxruntime-node makes such tensors only as outputs of a session, whose allocator
 * they come from: it has to outlive them.
 */
export class GpuTensors {
  private constructor(
    private readonly session: InferenceSession,
    readonly tensors: readonly Tensor[],
  ) {}

  /** @param shape of each tensor, float32 */
  static async allocate(count: number, shape: readonly number[]): Promise<GpuTensors> {
    const graph = new GraphBuilder();
    graph.input('zero', OnnxType.FLOAT, [1]);
    graph.constant('shape', BigInt64Array.from(shape, BigInt), [shape.length]);
    graph.node('Expand', { inputs: ['zero', 'shape'], outputs: ['zeros'] });
    graph.output('zeros', OnnxType.FLOAT, shape);
    const session = await InferenceSession.create(graph.encode('zeros'), {
      executionProviders: [WEBGPU],
      preferredOutputLocation: 'gpu-buffer',
      logSeverityLevel: 4,
    });
    const zero = new Tensor('float32', Float32Array.of(0), [1]);
    const tensors: Tensor[] = [];
    while (tensors.length < count) tensors.push((await session.run({ zero }))['zeros'] as Tensor);
    return new GpuTensors(session, tensors);
  }

  async free(): Promise<void> {
    for (const tensor of this.tensors) tensor.dispose();
    await this.session.release();
  }
}
