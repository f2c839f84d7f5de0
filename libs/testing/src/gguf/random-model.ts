import {
  allTensors,
  type ExpectedTensor,
  GgmlType,
  type ModelShape,
  OUTPUT_HEAD,
  ROPE_FACTORS,
  TOKEN_EMBEDDING,
} from '@pangalactic/models';
import { encodeTensor } from './encode-tensor';
import { float32, type GgufMetadata, text, uint32 } from './metadata';
import { EOS_ID, vocabularyMetadata } from './random-vocabulary';
import { RandomWeights } from './random-weights';
import { type TensorSource, writeGguf } from './write-gguf';

type Variant = Pick<ModelShape, 'architecture' | 'ropeFactors'>;

/** A plain llama unless it says otherwise. */
export interface RandomModelShape extends Omit<ModelShape, keyof Variant>, Partial<Variant> {
  readonly contextLength: number;
}

export interface RandomModelOptions {
  readonly seed: number;
  /** Added to what follows from the shape. */
  readonly metadata?: GgufMetadata;
  /** Of all matrices, or of each by its name; norms and biases are float32. */
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

/** A model with random weights and a small vocabulary, equal for equal seeds. Its greedy output does not end by itself. */
export async function writeRandomModel(
  path: string,
  randomShape: RandomModelShape,
  { seed, type, metadata }: RandomModelOptions,
): Promise<void> {
  const shape = { architecture: 'llama', ropeFactors: false, ...randomShape } as const;
  const typeOf = typeof type === 'function' ? type : () => type;
  const weights = new RandomWeights(seed);
  const head = shape.tiedEmbeddings ? TOKEN_EMBEDDING : OUTPUT_HEAD;
  const tensors = [...allTensors(shape)].map((tensor) => randomTensor(tensor, typeOf(tensor.name), weights, head));
  await writeGguf(path, { ...shapeMetadata(shape), ...vocabularyMetadata(shape.vocabSize), ...metadata }, tensors);
}

function randomTensor(tensor: ExpectedTensor, type: GgmlType, weights: RandomWeights, head: string): TensorSource {
  const { name, shape } = tensor;
  const [inputs, outputs] = shape as [number, number?];
  if (outputs === undefined) {
    const [mean, deviation] = vectorDistribution(name);
    const vector = () => [encodeTensor(GgmlType.F32, weights.normals(inputs, mean, deviation))];
    return { name, shape, type: GgmlType.F32, chunks: vector };
  }
  const part = name.split('.').at(-2)!;
  const deviation = (GAINS[part] ?? 1) / Math.sqrt(inputs);
  // The end token's logit is always 0, far below the best.
  const zeroRow = name === head ? EOS_ID : undefined;
  return { name, shape, type, chunks: () => weights.matrix(type, [inputs, outputs], deviation, zeroRow) };
}

function vectorDistribution(name: string): [mean: number, deviation: number] {
  if (name === ROPE_FACTORS) return [4, 1];
  return name.endsWith('.bias') ? [0, 0.5] : [1, 0.1];
}

function shapeMetadata(shape: RandomModelShape & Variant): GgufMetadata {
  const ofArchitecture: GgufMetadata = {
    vocab_size: uint32(shape.vocabSize),
    context_length: uint32(shape.contextLength),
    embedding_length: uint32(shape.hiddenSize),
    block_count: uint32(shape.layers),
    feed_forward_length: uint32(shape.feedForwardSize),
    'attention.head_count': uint32(shape.heads),
    'attention.head_count_kv': uint32(shape.kvHeads),
    'attention.key_length': uint32(shape.headSize),
    'attention.value_length': uint32(shape.headSize),
    'attention.layer_norm_rms_epsilon': float32(1e-5),
    'rope.dimension_count': uint32(shape.headSize),
    'rope.freq_base': float32(10_000),
  };
  return {
    'general.architecture': text(shape.architecture),
    'general.name': text('random'),
    'general.quantization_version': uint32(2),
    ...Object.fromEntries(
      Object.entries(ofArchitecture).map(([key, value]) => [`${shape.architecture}.${key}`, value]),
    ),
  };
}
