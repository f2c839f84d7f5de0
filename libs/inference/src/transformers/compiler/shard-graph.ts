import type { LayerRange } from '@pangalactic/contracts';
import type { ModelDescription } from '@pangalactic/models';
import { GraphBuilder } from '../onnx/graph-builder';
import { OnnxType } from '../onnx/onnx-schema';
import { addAttention, addAttentionConstants, addKvOutputs, addLaneInputs } from './attention-nodes';
import { INPUT, OUTPUT } from './graph-names';
import { LinearNodes } from './linear-nodes';
import { addNorm, type Nodes } from './nodes';
import type { RotaryTables } from './rotary-tables';
import { type LayerWeightPlan, type OutputWeightPlan, vectorNames, type WeightPlan } from './weight-plan';

export interface ShardGraphOptions {
  readonly model: ModelDescription;
  readonly layers: LayerRange;
  readonly layerPlans: readonly LayerWeightPlan[];
  /** Present on the tail. */
  readonly outputPlan: OutputWeightPlan | undefined;
  /** Of the KV positions of a slot. */
  readonly rotary: RotaryTables;
  /** See graph-session.ts. */
  readonly sentinel: boolean;
}

/** The ONNX graph of a layer range, its weights in files of the given plans. */
export function buildShardGraph(options: ShardGraphOptions): Uint8Array {
  const { model, layers, layerPlans, outputPlan, rotary, sentinel } = options;
  const graph = new GraphBuilder();
  const nodes: Nodes = { graph, linears: new LinearNodes(graph), model };
  if (sentinel) graph.emptySequenceOutput(OUTPUT.sentinel);
  graph.input(INPUT.hidden, OnnxType.FLOAT, ['T', model.hiddenSize]);
  addLaneInputs(graph);
  addAttentionConstants(graph, model, rotary);
  for (const plan of layerPlans) addWeights(graph, plan);

  let hidden: string = INPUT.hidden;
  layerPlans.forEach((plan, index) => {
    const last = index === layerPlans.length - 1;
    hidden = addLayer(nodes, plan, layers.from + index, hidden, last ? OUTPUT.hidden : undefined);
  });
  if (outputPlan) addOutputHead(nodes, outputPlan, hidden, model.vocabSize);
  else graph.output(OUTPUT.hidden, OnnxType.FLOAT, ['T', model.hiddenSize]);
  addKvOutputs(graph, layers, model);
  return graph.encode(`layers_${layers.from}_${layers.to}`);
}

function addWeights(graph: GraphBuilder, plan: WeightPlan): void {
  for (const tensor of plan.packed.values()) graph.weight({ ...tensor, file: plan.file });
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
  const { attentionNorm, feedForwardNorm } = vectorNames(layer);
  const projected = linears.addStacked(qkv, addNorm(nodes, attentionNorm, input), `${name}.qkv_out`);
  const attended = linears.add(attentionOutput, addAttention(nodes, layer, projected));

  const residual = `${name}.residual`;
  const feedForwardInput = `${name}.feed_forward_input`;
  graph.node('SkipSimplifiedLayerNormalization', {
    domain: 'com.microsoft',
    inputs: [input, attended, feedForwardNorm],
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

function addOutputHead(nodes: Nodes, plan: OutputWeightPlan, hidden: string, vocabSize: number): void {
  const { graph, linears } = nodes;
  addWeights(graph, plan);
  graph.input(INPUT.logitTokens, OnnxType.INT64, ['R']);
  graph.node('Gather', { inputs: [hidden, INPUT.logitTokens], outputs: ['logit_hidden'] });
  linears.add(plan.head, addNorm(nodes, 'output_norm', 'logit_hidden'), OUTPUT.logits);
  graph.output(OUTPUT.logits, OnnxType.FLOAT, ['R', vocabSize]);
}
