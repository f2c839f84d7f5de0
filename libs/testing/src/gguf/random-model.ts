import {
  allTensors,
  type ExpectedTensor,
  GgmlType,
  type LlamaShape,
  OUTPUT_HEAD,
  TOKEN_EMBEDDING,
} from '@pangalactic/models';
import { encodeTensor } from './encode-tensor';
import { float32, type GgufMetadata, text, uint32 } from './metadata';
import { EOS_ID, vocabularyMetadata } from './random-vocabulary';
import { RandomWeights } from './random-weights';
import { type TensorSource, writeGguf } from './write-gguf';

export interface RandomModelShape extends LlamaShape {
  readonly contextLength: number;
}

export interface RandomModelOptions {
  readonly seed: number;
  /** Of all matrices, or of each by its name; norms are float32. */
  readonly type: GgmlType | ((tensor: string) => GgmlType);
}

/**
 * Gains over the deviation 1 / sqrt(inputs), which keeps a signal's size. Queries and keys above 1 let attention choose;
 * what the layers add outweighs the embedding, or else a tied model would only repeat its input; and a head above 1
 * spreads the logits far beyond rounding errors.
 */
const GAINS: Readonly<Record<string, number>> = {
  attn_q: 1.5,
  attn_k: 1.5,
  attn_output: 3,
  ffn_down: 4,
  output: 3,
  token_embd: 3,
};

/** A llama model with random weights and a small vocabulary, equal for equal seeds. Its greedy output does not end by itself. */
export async function writeRandomModel(
  path: string,
  shape: RandomModelShape,
  { seed, type }: RandomModelOptions,
): Promise<void> {
  const typeOf = typeof type === 'function' ? type : () => type;
  const weights = new RandomWeights(seed);
  const head = shape.tiedEmbeddings ? TOKEN_EMBEDDING : OUTPUT_HEAD;
  const tensors = [...allTensors(shape)].map((tensor) => randomTensor(tensor, typeOf(tensor.name), weights, head));
  await writeGguf(path, { ...shapeMetadata(shape), ...vocabularyMetadata(shape.vocabSize) }, tensors);
}

function randomTensor(tensor: ExpectedTensor, type: GgmlType, weights: RandomWeights, head: string): TensorSource {
  const { name, shape } = tensor;
  const [inputs, outputs] = shape as [number, number?];
  if (outputs === undefined) {
    const norm = () => [encodeTensor(GgmlType.F32, weights.normals(inputs, 1, 0.1))];
    return { name, shape, type: GgmlType.F32, chunks: norm };
  }
  const part = name.split('.').at(-2)!;
  const deviation = (GAINS[part] ?? 1) / Math.sqrt(inputs);
  // The end token's logit is always 0, far below the best.
  const zeroRow = name === head ? EOS_ID : undefined;
  return { name, shape, type, chunks: () => weights.matrix(type, [inputs, outputs], deviation, zeroRow) };
}

function shapeMetadata(shape: RandomModelShape): GgufMetadata {
  return {
    'general.architecture': text('llama'),
    'general.name': text('random'),
    'general.quantization_version': uint32(2),
    'llama.vocab_size': uint32(shape.vocabSize),
    'llama.context_length': uint32(shape.contextLength),
    'llama.embedding_length': uint32(shape.hiddenSize),
    'llama.block_count': uint32(shape.layers),
    'llama.feed_forward_length': uint32(shape.feedForwardSize),
    'llama.attention.head_count': uint32(shape.heads),
    'llama.attention.head_count_kv': uint32(shape.kvHeads),
    'llama.attention.key_length': uint32(shape.headSize),
    'llama.attention.value_length': uint32(shape.headSize),
    'llama.attention.layer_norm_rms_epsilon': float32(1e-5),
    'llama.rope.dimension_count': uint32(shape.headSize),
    'llama.rope.freq_base': float32(10_000),
  };
}
