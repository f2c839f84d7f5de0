import type { LayerRange } from '@pangalactic/contracts';
import { ARCHITECTURES } from '@pangalactic/models';
import type { GraphBuilder } from '../onnx/graph-builder';
import { OnnxType } from '../onnx/onnx-schema';
import { INPUT, kvNames, kvPairs } from './graph-names';
import { addNorm, type LayerModel, type Nodes } from './nodes';
import type { RotaryTables } from './rotary-tables';
import { vectorNames } from './weight-plan';

/** Initializers that the attention of all layers shares. */
const CONSTANT = {
  cos: 'rotary_cos',
  sin: 'rotary_sin',
  queryRows: 'query_rows',
  keyRows: 'key_rows',
  headRows: 'head_rows',
  projectionSizes: 'projection_sizes',
} as const;

export function addAttentionConstants(graph: GraphBuilder, model: LayerModel, rotary: RotaryTables): void {
  const { heads, kvHeads, headSize } = model;
  const tableShape = [rotary.positions, headSize / 2];
  graph.constant(CONSTANT.cos, rotary.cos, tableShape);
  graph.constant(CONSTANT.sin, rotary.sin, tableShape);
  const rowsOf = (size: number) => BigInt64Array.of(-1n, BigInt(size));
  graph.constant(CONSTANT.queryRows, rowsOf(heads * headSize), [2]);
  if (!ARCHITECTURES[model.architecture].queryKeyNorm) return;
  graph.constant(CONSTANT.keyRows, rowsOf(kvHeads * headSize), [2]);
  graph.constant(CONSTANT.headRows, rowsOf(headSize), [2]);
  const sizes = [heads, kvHeads, kvHeads].map((count) => BigInt(count * headSize));
  graph.constant(CONSTANT.projectionSizes, BigInt64Array.from(sizes), [3]);
}

/** The index inputs that lay tokens over lanes. */
export function addLaneInputs(graph: GraphBuilder): void {
  graph.input(INPUT.laneTokens, OnnxType.INT64, ['B', 'S']);
  graph.input(INPUT.tokenLanes, OnnxType.INT64, ['T']);
  graph.input(INPUT.lastPositions, OnnxType.INT32, ['B']);
  graph.input(INPUT.longest, OnnxType.INT32, [1]);
}

/** The KV cache after the run, of all layers that attention was added for. */
export function addKvOutputs(graph: GraphBuilder, layers: LayerRange, { kvHeads, headSize }: LayerModel): void {
  for (const { present } of kvPairs(layers)) {
    graph.output(present, OnnxType.FLOAT, ['B', kvHeads, 'present', headSize]);
  }
}

/**
 * Attention over the KV slots of the lanes.
 * @param qkv [T, query, key and value sizes]: the projections side by side
 * @returns [T, heads x headSize]
 */
export function addAttention(nodes: Nodes, layer: number, qkv: string): string {
  const { graph, model } = nodes;
  const { heads, kvHeads, headSize } = model;
  const name = `layer${layer}`;
  const { pastKey, pastValue, presentKey, presentValue } = kvNames(layer);
  for (const past of [pastKey, pastValue]) graph.input(past, OnnxType.FLOAT, ['B', kvHeads, 'positions', headSize]);
  const projections = addHeadNorms(nodes, layer, addBias(nodes, layer, qkv));
  graph.node('Gather', { inputs: [projections, INPUT.laneTokens], outputs: [`${name}.lanes`] });
  graph.node('GroupQueryAttention', {
    domain: 'com.microsoft',
    inputs: [
      ...[`${name}.lanes`, '', '', pastKey, pastValue],
      ...[INPUT.lastPositions, INPUT.longest, CONSTANT.cos, CONSTANT.sin],
    ],
    outputs: [`${name}.attention`, presentKey, presentValue],
    ints: { num_heads: heads, kv_num_heads: kvHeads, do_rotary: 1, rotary_interleaved: 0 },
    floats: { scale: 1 / Math.sqrt(headSize) },
  });
  graph.node('Reshape', { inputs: [`${name}.attention`, CONSTANT.queryRows], outputs: [`${name}.attention_flat`] });
  graph.node('Gather', { inputs: [`${name}.attention_flat`, INPUT.tokenLanes], outputs: [`${name}.attended`] });
  return `${name}.attended`;
}

function addBias({ graph, model }: Nodes, layer: number, qkv: string): string {
  if (!ARCHITECTURES[model.architecture].queryKeyValueBias) return qkv;
  const biased = `${qkv}.biased`;
  graph.node('Add', { inputs: [qkv, vectorNames(layer).qkvBias], outputs: [biased] });
  return biased;
}

/** Queries and keys as one row for each head, normed, and put back beside the values. */
function addHeadNorms(nodes: Nodes, layer: number, qkv: string): string {
  const { graph, model } = nodes;
  if (!ARCHITECTURES[model.architecture].queryKeyNorm) return qkv;
  const [query, key, value] = [`${qkv}.query`, `${qkv}.key`, `${qkv}.value`];
  graph.node('Split', {
    inputs: [qkv, CONSTANT.projectionSizes],
    outputs: [query, key, value],
    ints: { axis: -1 },
  });
  const { queryNorm, keyNorm } = vectorNames(layer);
  const normed = (input: string, gain: string, rows: string) => {
    graph.node('Reshape', { inputs: [input, CONSTANT.headRows], outputs: [`${input}.heads`] });
    const heads = addNorm(nodes, gain, `${input}.heads`);
    graph.node('Reshape', { inputs: [heads, rows], outputs: [`${input}.normed`] });
    return `${input}.normed`;
  };
  const parts = [normed(query, queryNorm, CONSTANT.queryRows), normed(key, keyNorm, CONSTANT.keyRows), value];
  graph.node('Concat', { inputs: parts, outputs: [`${qkv}.normed`], ints: { axis: -1 } });
  return `${qkv}.normed`;
}
