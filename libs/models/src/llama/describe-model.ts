import { PangalacticError } from '@pangalactic/contracts';
import { corrupt, quote } from '../gguf/errors';
import { MATRIX_TYPES, VECTOR_TYPES } from '../gguf/engine-format';
import { describeTypes, type GgmlType, ggmlTypeLayout } from '../gguf/ggml-type';
import type { GgufHeader, GgufTensor } from '../gguf/gguf-header';
import { MetadataReader, required } from '../gguf/metadata-reader';
import { allTensors, type ExpectedTensor, type LlamaShape, OUTPUT_HEAD } from './model-tensors';
import { demandSentencePiece, readSpecialTokens, type SpecialTokens } from './special-tokens';

export interface ModelDescription extends LlamaShape, SpecialTokens {
  readonly architecture: 'llama';
  readonly name: string;
  readonly contextLength: number;
  readonly ropeTheta: number;
  /** Leading elements of each head that are rotated: all of them. */
  readonly ropeDimensions: number;
  readonly rmsEpsilon: number;
}

const DEFAULT_ROPE_THETA = 10_000;
/** The engine's rotary attention kernel computes heads in steps of 16 elements. */
const HEAD_SIZE_STEP = 16;

/**
 * What the engine needs to know of a model, after proof that the file has all of it: every tensor, each with the right
 * shape and a type the engine computes with, nothing that the engine would have to leave out, and a vocabulary that the
 * gateways can encode with.
 */
export function describeModel(header: GgufHeader): ModelDescription {
  const metadata = new MetadataReader(header.metadata);
  const architecture = required(metadata.string('general.architecture'), 'general.architecture');
  if (architecture !== 'llama') throw unsupported(`architecture ${quote(architecture)}: allowed: llama`);
  refuseVariants(metadata);
  demandSentencePiece(metadata);

  const shape = readShape(metadata, header.tensors.has(OUTPUT_HEAD));
  const ropeDimensions = metadata.count('llama.rope.dimension_count') ?? shape.headSize;
  if (ropeDimensions !== shape.headSize) {
    throw unsupported(`llama.rope.dimension_count is ${ropeDimensions}: allowed: the head size (${shape.headSize})`);
  }
  if (shape.headSize % HEAD_SIZE_STEP !== 0) {
    throw unsupported(`the head size is ${shape.headSize}: allowed: multiples of ${HEAD_SIZE_STEP}`);
  }
  checkTensors(header, shape);

  const rmsKey = 'llama.attention.layer_norm_rms_epsilon';
  return {
    architecture,
    name: metadata.string('general.name') ?? '',
    ...shape,
    contextLength: required(metadata.count('llama.context_length'), 'llama.context_length'),
    ropeTheta: metadata.positive('llama.rope.freq_base') ?? DEFAULT_ROPE_THETA,
    ropeDimensions,
    rmsEpsilon: required(metadata.positive(rmsKey), rmsKey),
    ...readSpecialTokens(metadata, shape.vocabSize),
  };
}

/** Files that call themselves llama and compute something else. */
function refuseVariants(metadata: MetadataReader): void {
  const scaling = metadata.string('llama.rope.scaling.type');
  if (scaling !== undefined && scaling !== 'none') {
    throw unsupported(`llama.rope.scaling.type is ${quote(scaling)}: allowed: none`);
  }
  for (const key of ['llama.rope.scaling.factor', 'llama.rope.scale_linear']) {
    // Without a type a factor means linear scaling. Converters write 0 and 1 for "none".
    const factor = metadata.number(key) ?? 0;
    if (scaling === undefined && factor !== 0 && factor !== 1) {
      throw unsupported(`${key} is ${factor}: scaled rotary embeddings are not supported`);
    }
  }
  const experts = metadata.number('llama.expert_count') ?? 0;
  if (experts !== 0) throw unsupported(`llama.expert_count is ${experts}: allowed: 0`);
  const parts = metadata.number('split.count') ?? 0;
  if (parts > 1) throw unsupported(`one of the ${parts} parts of a split model: merge them into one file first`);
}

function readShape(metadata: MetadataReader, hasOutputHead: boolean): LlamaShape {
  const count = (key: string) => required(metadata.count(key), key);
  const hiddenSize = count('llama.embedding_length');
  const heads = count('llama.attention.head_count');
  const kvHeads = metadata.count('llama.attention.head_count_kv') ?? heads;
  if (heads % kvHeads !== 0) throw corrupt(`${heads} heads cannot share ${kvHeads} key/value heads`);
  const headSize = metadata.count('llama.attention.key_length') ?? hiddenSize / heads;
  if (!Number.isInteger(headSize)) throw corrupt(`hidden size ${hiddenSize} does not divide into ${heads} heads`);
  const valueSize = metadata.count('llama.attention.value_length') ?? headSize;
  if (valueSize !== headSize) {
    throw unsupported(`llama.attention.value_length is ${valueSize}: allowed: the key length (${headSize})`);
  }
  return {
    layers: count('llama.block_count'),
    hiddenSize,
    feedForwardSize: count('llama.feed_forward_length'),
    heads,
    kvHeads,
    headSize,
    vocabSize: required(metadata.strings('tokenizer.ggml.tokens'), 'tokenizer.ggml.tokens').length,
    tiedEmbeddings: !hasOutputHead,
  };
}

function checkTensors(header: GgufHeader, shape: LlamaShape): void {
  const known = new Set<string>();
  for (const expected of allTensors(shape)) {
    const tensor = header.tensors.get(expected.name);
    if (!tensor) throw corrupt(`tensor "${expected.name}" is missing`);
    checkTensor(tensor, expected);
    known.add(expected.name);
  }
  for (const name of header.tensors.keys()) {
    // Biases, rotary factors, experts: to ignore one would give wrong answers rather than an error.
    if (!known.has(name)) throw unsupported(`tensor ${quote(name)} is not part of the plain llama architecture`);
  }
}

function checkTensor(tensor: GgufTensor, expected: ExpectedTensor): void {
  if (tensor.shape.length !== expected.shape.length || tensor.shape.some((size, i) => size !== expected.shape[i])) {
    throw corrupt(
      `tensor "${tensor.name}" has shape [${tensor.shape.join(', ')}], expected [${expected.shape.join(', ')}]`,
    );
  }
  const allowed: readonly GgmlType[] = expected.shape.length === 1 ? VECTOR_TYPES : MATRIX_TYPES;
  if (!allowed.includes(tensor.type)) {
    throw new PangalacticError(
      'unsupported_tensor_type',
      `tensor "${tensor.name}" has type ${ggmlTypeLayout(tensor.type).name}: allowed: ${describeTypes(allowed)}`,
    );
  }
}

function unsupported(message: string): PangalacticError {
  return new PangalacticError('unsupported_architecture', message);
}
