import type { LayerRange } from '@pangalactic/contracts';
import type { ModelDescription } from '@pangalactic/models';
import { GraphBuilder } from '../onnx/graph-builder';
import { OnnxType } from '../onnx/onnx-schema';
import { QUANT_BLOCK } from './weight-packing';
import {
  type LayerWeightPlan,
  type Linear,
  type OutputWeightPlan,
  quantsName,
  scalesName,
  type WeightPlan,
} from './weight-plan';

/**
 * Names of the graph's inputs and outputs. T tokens are flat in one [T, hidden] matrix; attention alone sees lanes
 * [B, S]: B neighbouring KV slots with S new tokens each.
 */
export const INPUT = {
  /** [T, hidden] float32 */
  hidden: 'hidden',
  /** [B, S] int64: the token of each lane position; an idle lane names any token */
  laneTokens: 'lane_tokens',
  /** [T] int64: the lane position of each token */
  tokenLanes: 'token_lanes',
  /** [B] int32: valid tokens of each slot after this run, minus one */
  lastPositions: 'last_positions',
  /** [1] int32: the largest number of valid tokens after this run */
  longest: 'longest',
  /** [R] int64, tail only: the tokens to compute logits for */
  logitTokens: 'logit_tokens',
} as const;

export const OUTPUT = { hidden: 'hidden_out', logits: 'logits', sentinel: 'sentinel' } as const;

/** [B, kvHeads, positions, headSize] float32, one pair per layer. */
export const kvNames = (layer: number) => ({
  pastKey: `past_key.${layer}`,
  pastValue: `past_value.${layer}`,
  presentKey: `present_key.${layer}`,
  presentValue: `present_value.${layer}`,
});

export interface ShardGraphOptions {
  readonly model: ModelDescription;
  readonly layers: LayerRange;
  readonly layerPlans: readonly LayerWeightPlan[];
  /** Present on the tail. */
  readonly outputPlan: OutputWeightPlan | undefined;
  /** Rows of the rotary tables: the KV positions of a slot. */
  readonly positions: number;
  /** See graph-session.ts. */
  readonly sentinel: boolean;
}

/** The ONNX graph of a layer range, its weights in files of the given plans. */
export function buildShardGraph(options: ShardGraphOptions): Uint8Array {
  const { model, layers, layerPlans, outputPlan, positions, sentinel } = options;
  const graph = new GraphBuilder();
  if (sentinel) graph.emptySequenceOutput(OUTPUT.sentinel);
  graph.input(INPUT.hidden, OnnxType.FLOAT, ['T', model.hiddenSize]);
  graph.input(INPUT.laneTokens, OnnxType.INT64, ['B', 'S']);
  graph.input(INPUT.tokenLanes, OnnxType.INT64, ['T']);
  graph.input(INPUT.lastPositions, OnnxType.INT32, ['B']);
  graph.input(INPUT.longest, OnnxType.INT32, [1]);
  addRotaryTables(graph, model, positions);
  graph.constant('attention_rows', BigInt64Array.of(-1n, BigInt(model.heads * model.headSize)), [2]);
  for (const plan of layerPlans) addWeights(graph, plan);

  let hidden: string = INPUT.hidden;
  layerPlans.forEach((plan, index) => {
    const last = index === layerPlans.length - 1;
    hidden = addLayer(graph, model, plan, layers.from + index, hidden, last ? OUTPUT.hidden : undefined);
  });
  if (outputPlan) addOutputHead(graph, model, outputPlan, hidden);
  else graph.output(OUTPUT.hidden, OnnxType.FLOAT, ['T', model.hiddenSize]);
  for (let layer = layers.from; layer < layers.to; layer++) {
    const { presentKey, presentValue } = kvNames(layer);
    for (const name of [presentKey, presentValue]) {
      graph.output(name, OnnxType.FLOAT, ['B', model.kvHeads, 'present', model.headSize]);
    }
  }
  return graph.encode(`layers_${layers.from}_${layers.to}`);
}

function addWeights(graph: GraphBuilder, plan: WeightPlan): void {
  for (const tensor of plan.packed.values()) graph.weight({ ...tensor, file: plan.file });
}

function addRotaryTables(graph: GraphBuilder, { headSize, ropeTheta }: ModelDescription, positions: number): void {
  const half = headSize / 2;
  const cos = new Float32Array(positions * half);
  const sin = new Float32Array(positions * half);
  for (let position = 0; position < positions; position++) {
    for (let i = 0; i < half; i++) {
      const angle = position * Math.pow(ropeTheta, (-2 * i) / headSize);
      cos[position * half + i] = Math.cos(angle);
      sin[position * half + i] = Math.sin(angle);
    }
  }
  graph.constant('rotary_cos', cos, [positions, half]);
  graph.constant('rotary_sin', sin, [positions, half]);
}

/**
 * One transformer layer, [T, hidden] -> [T, hidden]. Its input norm stays apart from the sum that ends the layer before:
 * fused, the two round differently, and a pipeline would differ from one node by where it is cut.
 */
function addLayer(
  graph: GraphBuilder,
  model: ModelDescription,
  { qkv, attentionOutput, gate, up, down }: LayerWeightPlan,
  layer: number,
  input: string,
  output = `layer${layer}.out`,
): string {
  const name = `layer${layer}`;
  const attentionInput = addNorm(graph, model, `${name}.attention_norm`, input);
  const attention = addAttention(graph, model, layer, addStacked(graph, `${name}.qkv_out`, qkv, attentionInput));
  const attended = addLinear(graph, attentionOutput, attention);

  const residual = `${name}.residual`;
  const feedForwardInput = `${name}.feed_forward_input`;
  graph.node('SkipSimplifiedLayerNormalization', {
    domain: 'com.microsoft',
    inputs: [input, attended, `${name}.feed_forward_norm`],
    outputs: [feedForwardInput, '', '', residual],
    floats: { epsilon: model.rmsEpsilon },
  });
  const gated = addLinear(graph, gate, feedForwardInput);
  const raised = addLinear(graph, up, feedForwardInput);
  // With alpha 1 this is SiLU.
  graph.node('QuickGelu', {
    domain: 'com.microsoft',
    inputs: [gated],
    outputs: [`${name}.silu`],
    floats: { alpha: 1 },
  });
  graph.node('Mul', { inputs: [`${name}.silu`, raised], outputs: [`${name}.gated`] });
  graph.node('Add', { inputs: [residual, addLinear(graph, down, `${name}.gated`)], outputs: [output] });
  return output;
}

function addNorm(graph: GraphBuilder, { rmsEpsilon }: ModelDescription, gain: string, input: string): string {
  const output = `${gain}.out`;
  graph.node('SimplifiedLayerNormalization', {
    inputs: [input, gain],
    outputs: [output],
    ints: { axis: -1 },
    floats: { epsilon: rmsEpsilon },
  });
  return output;
}

function addAttention(graph: GraphBuilder, model: ModelDescription, layer: number, qkv: string): string {
  const { heads, kvHeads, headSize } = model;
  const name = `layer${layer}`;
  const { pastKey, pastValue, presentKey, presentValue } = kvNames(layer);
  for (const past of [pastKey, pastValue]) graph.input(past, OnnxType.FLOAT, ['B', kvHeads, 'positions', headSize]);
  graph.node('Gather', { inputs: [qkv, INPUT.laneTokens], outputs: [`${name}.lanes`] });
  graph.node('GroupQueryAttention', {
    domain: 'com.microsoft',
    inputs: [
      ...[`${name}.lanes`, '', '', pastKey, pastValue],
      ...[INPUT.lastPositions, INPUT.longest, 'rotary_cos', 'rotary_sin'],
    ],
    outputs: [`${name}.attention`, presentKey, presentValue],
    ints: { num_heads: heads, kv_num_heads: kvHeads, do_rotary: 1, rotary_interleaved: 0 },
    floats: { scale: 1 / Math.sqrt(headSize) },
  });
  graph.node('Reshape', { inputs: [`${name}.attention`, 'attention_rows'], outputs: [`${name}.attention_flat`] });
  graph.node('Gather', { inputs: [`${name}.attention_flat`, INPUT.tokenLanes], outputs: [`${name}.attended`] });
  return `${name}.attended`;
}

function addOutputHead(graph: GraphBuilder, model: ModelDescription, plan: OutputWeightPlan, hidden: string): void {
  addWeights(graph, plan);
  graph.input(INPUT.logitTokens, OnnxType.INT64, ['R']);
  graph.node('Gather', { inputs: [hidden, INPUT.logitTokens], outputs: ['logit_hidden'] });
  addLinear(graph, plan.head, addNorm(graph, model, 'output_norm', 'logit_hidden'), OUTPUT.logits);
  graph.output(OUTPUT.logits, OnnxType.FLOAT, ['R', model.vocabSize]);
}

/** Several linears of the same input, their outputs side by side. */
function addStacked(graph: GraphBuilder, output: string, linears: readonly Linear[], input: string): string {
  if (linears.length === 1) return addLinear(graph, linears[0]!, input);
  const parts = linears.map((linear) => addLinear(graph, linear, input));
  graph.node('Concat', { inputs: parts, outputs: [output], ints: { axis: -1 } });
  return output;
}

/** int8 activations: the one accuracy level that has fast kernels for 4 and for 8 bits. */
const INT8_ACTIVATIONS = 4;

function addLinear(graph: GraphBuilder, linear: Linear, input: string, output = `${linear.name}.out`): string {
  const { name, inputs: K, outputs: N, format } = linear;
  if (format === 'fp32') {
    graph.node('Gemm', { inputs: [input, name], outputs: [output], ints: { transB: 1 } });
    return output;
  }
  graph.node('MatMulNBits', {
    domain: 'com.microsoft',
    inputs: [input, quantsName(linear), scalesName(linear)],
    outputs: [output],
    ints: { K, N, bits: format === 'q4' ? 4 : 8, block_size: QUANT_BLOCK, accuracy_level: INT8_ACTIVATIONS },
  });
  return output;
}
