import {
  ARCHITECTURES,
  type EngineFormat,
  engineFormat,
  type GgufHeader,
  type GgufTensor,
  type ModelDescription,
  OUTPUT_HEAD,
  OUTPUT_NORM,
  TOKEN_EMBEDDING,
} from '@pangalactic/models';
import { OnnxType } from '../onnx/onnx-schema';

/** A page, so that the engine can map each weight straight from the file. */
const ALIGNMENT = 4096;

export interface LinearSource {
  readonly tensor: GgufTensor;
  /** Its rows have to change places: see unpermuteRotaryRows. */
  readonly permuted: boolean;
}

/** y = x W^T of one or several stacked tensors of one format: [inputs] -> [outputs]. */
export interface Linear {
  readonly name: string;
  readonly inputs: number;
  readonly outputs: number;
  readonly format: EngineFormat;
  readonly sources: readonly LinearSource[];
}

/** A norm's gain, or the biases of stacked tensors one after the other. */
export interface Vector {
  readonly name: string;
  readonly tensors: readonly GgufTensor[];
}

export interface PackedTensor {
  readonly name: string;
  readonly type: OnnxType;
  readonly shape: readonly number[];
  readonly offset: number;
  readonly bytes: number;
}

/** One file of packed weights: a layer, or the output head. */
export interface WeightPlan {
  readonly file: string;
  readonly vectors: readonly Vector[];
  readonly linears: readonly Linear[];
  readonly packed: ReadonlyMap<string, PackedTensor>;
  readonly bytes: number;
}

export interface LayerWeightPlan extends WeightPlan {
  /** Query, key and value: one stacked linear, or more where the file mixes formats. */
  readonly qkv: readonly Linear[];
  readonly attentionOutput: Linear;
  readonly gate: Linear;
  readonly up: Linear;
  readonly down: Linear;
}

export interface OutputWeightPlan extends WeightPlan {
  readonly head: Linear;
}

/** Names of a layer's vectors. */
export const vectorNames = (layer: number) => ({
  attentionNorm: `layer${layer}.attention_norm`,
  feedForwardNorm: `layer${layer}.feed_forward_norm`,
  /** Of architectures with a query, key and value bias. */
  qkvBias: `layer${layer}.qkv_bias`,
  /** Of architectures with a query and key norm. */
  queryNorm: `layer${layer}.query_norm`,
  keyNorm: `layer${layer}.key_norm`,
});

export function layerWeightPlan(header: GgufHeader, model: ModelDescription, layer: number): LayerWeightPlan {
  const { rotaryPairs, queryKeyValueBias, queryKeyNorm } = ARCHITECTURES[model.architecture];
  const tensor = (name: string) => requireTensor(header, `blk.${layer}.${name}`);
  const weight = (name: string) => tensor(`${name}.weight`);
  const prefix = `layer${layer}`;
  const permuted = rotaryPairs === 'neighbours';
  const qkv = stack(`${prefix}.qkv`, [
    { tensor: weight('attn_q'), permuted },
    { tensor: weight('attn_k'), permuted },
    { tensor: weight('attn_v'), permuted: false },
  ]);
  const attentionOutput = linear(`${prefix}.attention_output`, weight('attn_output'));
  const gate = linear(`${prefix}.gate`, weight('ffn_gate'));
  const up = linear(`${prefix}.up`, weight('ffn_up'));
  const down = linear(`${prefix}.down`, weight('ffn_down'));
  const names = vectorNames(layer);
  const vectors: Vector[] = [
    { name: names.attentionNorm, tensors: [weight('attn_norm')] },
    { name: names.feedForwardNorm, tensors: [weight('ffn_norm')] },
  ];
  if (queryKeyValueBias) {
    vectors.push({
      name: names.qkvBias,
      tensors: [tensor('attn_q.bias'), tensor('attn_k.bias'), tensor('attn_v.bias')],
    });
  }
  if (queryKeyNorm) {
    vectors.push({ name: names.queryNorm, tensors: [weight('attn_q_norm')] });
    vectors.push({ name: names.keyNorm, tensors: [weight('attn_k_norm')] });
  }
  const file = `layer-${String(layer).padStart(3, '0')}.weights`;
  return { ...lay(file, vectors, [...qkv, attentionOutput, gate, up, down]), qkv, attentionOutput, gate, up, down };
}

export function outputWeightPlan(header: GgufHeader, { tiedEmbeddings }: ModelDescription): OutputWeightPlan {
  const head = linear('output', requireTensor(header, tiedEmbeddings ? TOKEN_EMBEDDING : OUTPUT_HEAD));
  const norms = [{ name: 'output_norm', tensors: [requireTensor(header, OUTPUT_NORM)] }];
  return { ...lay('output.weights', norms, [head]), head };
}

/** One fused linear of all neighbours that share a format. */
function stack(name: string, sources: readonly LinearSource[]): Linear[] {
  const runs: LinearSource[][] = [];
  for (const source of sources) {
    const run = runs.at(-1);
    if (run && engineFormat(run[0]!.tensor.type) === engineFormat(source.tensor.type)) run.push(source);
    else runs.push([source]);
  }
  return runs.map((run, index) => fuse(`${name}.${index}`, run));
}

function linear(name: string, tensor: GgufTensor): Linear {
  return fuse(name, [{ tensor, permuted: false }]);
}

function fuse(name: string, sources: readonly LinearSource[]): Linear {
  const first = sources[0]!.tensor;
  return {
    name,
    inputs: first.shape[0]!,
    outputs: sources.reduce((rows, { tensor }) => rows + tensor.shape[1]!, 0),
    format: engineFormat(first.type),
    sources,
  };
}

/** Names of a quantised linear's packed tensors. */
export const quantsName = (linear: Linear) => `${linear.name}.quants`;
export const scalesName = (linear: Linear) => `${linear.name}.scales`;
/** [outputs, groups], of formats with offsets only */
export const offsetsName = (linear: Linear) => `${linear.name}.offsets`;

function lay(file: string, vectors: readonly Vector[], linears: readonly Linear[]): WeightPlan {
  const packed = new Map<string, PackedTensor>();
  let end = 0;
  const place = (name: string, type: OnnxType, shape: readonly number[]) => {
    const offset = Math.ceil(end / ALIGNMENT) * ALIGNMENT;
    const bytes = shape.reduce((a, b) => a * b, 1) * (type === OnnxType.FLOAT ? 4 : 1);
    packed.set(name, { name, type, shape, offset, bytes });
    end = offset + bytes;
  };
  for (const { name, tensors } of vectors) {
    place(name, OnnxType.FLOAT, [tensors.reduce((size, { shape }) => size + shape[0]!, 0)]);
  }
  for (const linear of linears) {
    const { name, inputs, outputs } = linear;
    const { bits, groupSize, hasOffsets } = linear.format;
    if (bits === 32) {
      place(name, OnnxType.FLOAT, [outputs, inputs]);
      continue;
    }
    const groups = inputs / groupSize;
    place(quantsName(linear), OnnxType.UINT8, [outputs, groups, (groupSize * bits) / 8]);
    place(scalesName(linear), OnnxType.FLOAT, [outputs * groups]);
    if (hasOffsets) place(offsetsName(linear), OnnxType.FLOAT, [outputs, groups]);
  }
  return { file, vectors, linears, packed, bytes: end };
}

function requireTensor(header: GgufHeader, name: string): GgufTensor {
  const tensor = header.tensors.get(name);
  if (!tensor) throw new Error(`tensor ${name} is missing: describeModel refuses such files`);
  return tensor;
}
