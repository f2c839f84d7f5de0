import type { LayerRange } from '@pangalactic/contracts';
import type { ModelDescription } from '@pangalactic/models';
import { GraphBuilder } from '../onnx/graph-builder';
import { OnnxType } from '../onnx/onnx-schema';
import { LinearNodes } from './linear-nodes';
import type { LayerWeightPlan, OutputWeightPlan, WeightPlan } from './weight-plan';

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

/** What the parts of a graph are added with. */
interface Nodes {
  readonly graph: GraphBuilder;
  readonly linears: LinearNodes;
  readonly model: ModelDescription;
}

/** The ONNX graph of a layer range, its weights in files of the given plans. */
export function buildShardGraph(options: ShardGraphOptions): Uint8Array {
  const { model, layers, layerPlans, outputPlan, positions, sentinel } = options;
  const graph = new GraphBuilder();
  const nodes: Nodes = { graph, linears: new LinearNodes(graph), model };
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
    hidden = addLayer(nodes, plan, layers.from + index, hidden, last ? OUTPUT.hidden : undefined);
  });
  if (outputPlan) addOutputHead(nodes, outputPlan, hidden);
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
  nodes: Nodes,
  { qkv, attentionOutput, gate, up, down }: LayerWeightPlan,
  layer: number,
  input: string,
  output = `layer${layer}.out`,
): string {
  const { graph, linears, model } = nodes;
  const name = `layer${layer}`;
  const attentionInput = addNorm(nodes, `${name}.attention_norm`, input);
  const projected = linears.addStacked(qkv, attentionInput, `${name}.qkv_out`);
  const attended = linears.add(attentionOutput, addAttention(nodes, layer, projected));

  const residual = `${name}.residual`;
  const feedForwardInput = `${name}.feed_forward_input`;
  graph.node('SkipSimplifiedLayerNormalization', {
    domain: 'com.microsoft',
    inputs: [input, attended, `${name}.feed_forward_norm`],
    outputs: [feedForwardInput, '', '', residual],
    floats: { epsilon: model.rmsEpsilon },
  });
  const gated = linears.add(gate, feedForwardInput);
  const raised = linears.add(up, feedForwardInput);
  // With alpha 1 this is SiLU.
  graph.node('QuickGelu', {
    domain: 'com.microsoft',
    inputs: [gated],
    outputs: [`${name}.silu`],
    floats: { alpha: 1 },
  });
  graph.node('Mul', { inputs: [`${name}.silu`, raised], outputs: [`${name}.gated`] });
  graph.node('Add', { inputs: [residual, linears.add(down, `${name}.gated`)], outputs: [output] });
  return output;
}

function addNorm({ graph, model }: Nodes, gain: string, input: string): string {
  const output = `${gain}.out`;
  graph.node('SimplifiedLayerNormalization', {
    inputs: [input, gain],
    outputs: [output],
    ints: { axis: -1 },
    floats: { epsilon: model.rmsEpsilon },
  });
  return output;
}

function addAttention({ graph, model }: Nodes, layer: number, qkv: string): string {
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

function addOutputHead(nodes: Nodes, plan: OutputWeightPlan, hidden: string): void {
  const { graph, linears, model } = nodes;
  addWeights(graph, plan);
  graph.input(INPUT.logitTokens, OnnxType.INT64, ['R']);
  graph.node('Gather', { inputs: [hidden, INPUT.logitTokens], outputs: ['logit_hidden'] });
  linears.add(plan.head, addNorm(nodes, 'output_norm', 'logit_hidden'), OUTPUT.logits);
  graph.output(OUTPUT.logits, OnnxType.FLOAT, ['R', model.vocabSize]);
}
