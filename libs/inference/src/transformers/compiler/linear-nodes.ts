import type { GraphBuilder } from '../onnx/graph-builder';
import { type Linear, offsetsName, quantsName, scalesName } from './weight-plan';

/** int8 activations: the one accuracy level that has fast kernels for 4 and for 8 bits. */
const INT8_ACTIVATIONS = 4;

/** Adds the nodes of matrix multiplications, [T, inputs] -> [T, outputs]. */
export class LinearNodes {
  /** Constants and sums that several linears share, by name. */
  private readonly shared = new Set<string>();

  constructor(private readonly graph: GraphBuilder) {}

  add(linear: Linear, input: string, output = `${linear.name}.out`): string {
    const { name, inputs: K, outputs: N } = linear;
    const { bits, groupSize, hasOffsets } = linear.format;
    if (bits === 32) {
      this.graph.node('Gemm', { inputs: [input, name], outputs: [output], ints: { transB: 1 } });
      return output;
    }
    const product = hasOffsets ? `${name}.product` : output;
    this.graph.node('MatMulNBits', {
      domain: 'com.microsoft',
      inputs: [input, quantsName(linear), scalesName(linear)],
      outputs: [product],
      ints: { K, N, bits, block_size: groupSize, accuracy_level: INT8_ACTIVATIONS },
    });
    if (!hasOffsets) return output;
    // All weights of a group have the offset in common, so it is multiplied with the sum of their inputs.
    const sums = this.groupSums(input, K / groupSize, groupSize);
    this.graph.node('Gemm', { inputs: [sums, offsetsName(linear), product], outputs: [output], ints: { transB: 1 } });
    return output;
  }

  /** Several linears of the same input, their outputs side by side. */
  addStacked(linears: readonly Linear[], input: string, output: string): string {
    if (linears.length === 1) return this.add(linears[0]!, input, output);
    const parts = linears.map((linear) => this.add(linear, input));
    this.graph.node('Concat', { inputs: parts, outputs: [output], ints: { axis: -1 } });
    return output;
  }

  /** [T, groups x size] -> [T, groups] */
  private groupSums(input: string, groups: number, size: number): string {
    const sums = `${input}.sums_of_${size}`;
    if (this.isNew(sums)) {
      const shape = `${groups}_groups_of_${size}`;
      if (this.isNew(shape)) this.graph.constant(shape, BigInt64Array.of(-1n, BigInt(groups), BigInt(size)), [3]);
      if (this.isNew('last_axis')) this.graph.constant('last_axis', BigInt64Array.of(-1n), [1]);
      const grouped = `${input}.groups`;
      this.graph.node('Reshape', { inputs: [input, shape], outputs: [grouped] });
      this.graph.node('ReduceSum', { inputs: [grouped, 'last_axis'], outputs: [sums], ints: { keepdims: 0 } });
    }
    return sums;
  }

  private isNew(name: string): boolean {
    if (this.shared.has(name)) return false;
    this.shared.add(name);
    return true;
  }
}
