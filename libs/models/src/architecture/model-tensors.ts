import { ARCHITECTURES, type ArchitectureName } from './architectures';

/** What the tensors of a model follow from. */
export interface ModelShape {
  readonly architecture: ArchitectureName;
  readonly layers: number;
  readonly hiddenSize: number;
  readonly feedForwardSize: number;
  readonly heads: number;
  readonly kvHeads: number;
  /** Of queries, keys and values alike; not always hiddenSize / heads. */
  readonly headSize: number;
  readonly vocabSize: number;
  /** The output head is the token embedding. */
  readonly tiedEmbeddings: boolean;
  /** A tensor divides the rotary frequencies. */
  readonly ropeFactors: boolean;
}

export interface ExpectedTensor {
  readonly name: string;
  /** [in, out] for a matrix, [size] for a norm or a bias. */
  readonly shape: readonly number[];
}

export const TOKEN_EMBEDDING = 'token_embd.weight';
export const OUTPUT_NORM = 'output_norm.weight';
export const OUTPUT_HEAD = 'output.weight';
export const ROPE_FACTORS = 'rope_freqs.weight';

export function embeddingTensor(shape: ModelShape): ExpectedTensor {
  return { name: TOKEN_EMBEDDING, shape: [shape.hiddenSize, shape.vocabSize] };
}

export function layerTensors(shape: ModelShape, layer: number): ExpectedTensor[] {
  const { hiddenSize, feedForwardSize, heads, kvHeads, headSize } = shape;
  const { queryKeyValueBias, queryKeyNorm } = ARCHITECTURES[shape.architecture];
  const parts: [name: string, shape: number[]][] = [
    ['attn_norm.weight', [hiddenSize]],
    ['attn_q.weight', [hiddenSize, heads * headSize]],
    ['attn_k.weight', [hiddenSize, kvHeads * headSize]],
    ['attn_v.weight', [hiddenSize, kvHeads * headSize]],
    ['attn_output.weight', [heads * headSize, hiddenSize]],
    ['ffn_norm.weight', [hiddenSize]],
    ['ffn_gate.weight', [hiddenSize, feedForwardSize]],
    ['ffn_up.weight', [hiddenSize, feedForwardSize]],
    ['ffn_down.weight', [feedForwardSize, hiddenSize]],
  ];
  if (queryKeyValueBias) {
    parts.push(
      ['attn_q.bias', [heads * headSize]],
      ['attn_k.bias', [kvHeads * headSize]],
      ['attn_v.bias', [kvHeads * headSize]],
    );
  }
  if (queryKeyNorm) parts.push(['attn_q_norm.weight', [headSize]], ['attn_k_norm.weight', [headSize]]);
  return parts.map(([part, dimensions]) => ({ name: `blk.${layer}.${part}`, shape: dimensions }));
}

/** The final norm and the output head. Tied models keep their head in the embedding's tensor. */
export function outputTensors(shape: ModelShape): ExpectedTensor[] {
  return [
    { name: OUTPUT_NORM, shape: [shape.hiddenSize] },
    {
      name: shape.tiedEmbeddings ? TOKEN_EMBEDDING : OUTPUT_HEAD,
      shape: [shape.hiddenSize, shape.vocabSize],
    },
  ];
}

/** Every tensor of the model once. */
export function* allTensors(shape: ModelShape): Generator<ExpectedTensor> {
  yield embeddingTensor(shape);
  if (shape.ropeFactors) yield { name: ROPE_FACTORS, shape: [shape.headSize / 2] };
  for (let layer = 0; layer < shape.layers; layer++) yield* layerTensors(shape, layer);
  for (const tensor of outputTensors(shape)) if (tensor.name !== TOKEN_EMBEDDING) yield tensor;
}
