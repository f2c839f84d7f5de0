/** The sizes that the tensors of a llama model follow from. */
export interface LlamaShape {
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
}

export interface ExpectedTensor {
  readonly name: string;
  /** [in, out] for a matrix, [size] for a norm. */
  readonly shape: readonly number[];
}

export const TOKEN_EMBEDDING = 'token_embd.weight';
export const OUTPUT_NORM = 'output_norm.weight';
export const OUTPUT_HEAD = 'output.weight';

export function embeddingTensor(shape: LlamaShape): ExpectedTensor {
  return { name: TOKEN_EMBEDDING, shape: [shape.hiddenSize, shape.vocabSize] };
}

export function layerTensors(shape: LlamaShape, layer: number): ExpectedTensor[] {
  const { hiddenSize, feedForwardSize, heads, kvHeads, headSize } = shape;
  const parts: [string, number[]][] = [
    ['attn_norm', [hiddenSize]],
    ['attn_q', [hiddenSize, heads * headSize]],
    ['attn_k', [hiddenSize, kvHeads * headSize]],
    ['attn_v', [hiddenSize, kvHeads * headSize]],
    ['attn_output', [heads * headSize, hiddenSize]],
    ['ffn_norm', [hiddenSize]],
    ['ffn_gate', [hiddenSize, feedForwardSize]],
    ['ffn_up', [hiddenSize, feedForwardSize]],
    ['ffn_down', [feedForwardSize, hiddenSize]],
  ];
  return parts.map(([part, dimensions]) => ({ name: `blk.${layer}.${part}.weight`, shape: dimensions }));
}

/** The final norm and the output head. Tied models keep their head in the embedding's tensor. */
export function outputTensors(shape: LlamaShape): ExpectedTensor[] {
  return [
    { name: OUTPUT_NORM, shape: [shape.hiddenSize] },
    {
      name: shape.tiedEmbeddings ? TOKEN_EMBEDDING : OUTPUT_HEAD,
      shape: [shape.hiddenSize, shape.vocabSize],
    },
  ];
}

/** Every tensor of the model once, in the order of computation. */
export function* allTensors(shape: LlamaShape): Generator<ExpectedTensor> {
  yield embeddingTensor(shape);
  for (let layer = 0; layer < shape.layers; layer++) yield* layerTensors(shape, layer);
  for (const tensor of outputTensors(shape)) if (tensor.name !== TOKEN_EMBEDDING) yield tensor;
}
