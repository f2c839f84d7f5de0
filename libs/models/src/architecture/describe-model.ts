import { INVENTORY_LIMITS, PangalacticError } from '@pangalactic/contracts';
import { MATRIX_TYPES, VECTOR_TYPES } from '../gguf/engine-format';
import { corrupt, quote } from '../gguf/errors';
import { describeTypes, ggmlTypeLayout } from '../gguf/ggml-type';
import type { GgufHeader, GgufTensor } from '../gguf/gguf-header';
import { MetadataReader, required } from '../gguf/metadata-reader';
import { ARCHITECTURES, type ArchitectureName, isArchitecture } from './architectures';
import { allTensors, type ExpectedTensor, type ModelShape, OUTPUT_HEAD, ROPE_FACTORS } from './model-tensors';
import { readRope, type Rope } from './rope';
import { readSpecialTokens, type SpecialTokens } from './special-tokens';
import { tokenizerKind } from './tokenizer-kind';
import { unsupported } from './unsupported';

export interface ModelDescription extends ModelShape, SpecialTokens, Rope {
  readonly name: string;
  /** Tokens up to which the engine computes what the model was trained for. */
  readonly contextLength: number;
  readonly rmsEpsilon: number;
}

/** The engine's rotary attention kernel computes heads in steps of 16 elements. */
const HEAD_SIZE_STEP = 16;

/**
 * What the engine needs to know of a model, after proof that the file has all of it: every tensor, each with the right
 * shape and a type the engine computes with, nothing that the engine would have to leave out, and a vocabulary that the
 * gateways can encode with.
 */
export function describeModel(header: GgufHeader): ModelDescription {
  const metadata = new MetadataReader(header.metadata);
  const architecture = readArchitecture(metadata);
  refuseVariants(metadata, architecture);
  tokenizerKind(metadata);

  const shape = readShape(metadata, header, architecture);
  const rope = readRope(metadata, shape);
  checkTensors(header, shape);

  const rmsKey = `${architecture}.attention.layer_norm_rms_epsilon`;
  return {
    name: metadata.string('general.name') ?? '',
    ...shape,
    ...rope,
    contextLength: readContextLength(metadata, architecture),
    rmsEpsilon: required(metadata.positive(rmsKey), rmsKey),
    ...readSpecialTokens(metadata, shape.vocabSize),
  };
}

function readArchitecture(metadata: MetadataReader): ArchitectureName {
  const name = required(metadata.string('general.architecture'), 'general.architecture');
  if (isArchitecture(name)) return name;
  throw unsupported(`architecture ${quote(name)}: allowed: ${Object.keys(ARCHITECTURES).join(', ')}`);
}

/** Files that name a known architecture and compute something else. */
function refuseVariants(metadata: MetadataReader, architecture: ArchitectureName): void {
  const experts = metadata.number(`${architecture}.expert_count`) ?? 0;
  if (experts !== 0) throw unsupported(`${architecture}.expert_count is ${experts}: allowed: 0`);
  const parts = metadata.number('split.count') ?? 0;
  if (parts > 1) throw unsupported(`one of the ${parts} parts of a split model: merge them into one file first`);
}

/** Attention that slides over a window equals full attention up to the length of the window. */
function readContextLength(metadata: MetadataReader, architecture: ArchitectureName): number {
  const key = `${architecture}.context_length`;
  const contextLength = required(metadata.count(key), key);
  const windowKey = `${architecture}.attention.sliding_window`;
  // Converters write 0 for "none".
  const window = metadata.number(windowKey) === 0 ? undefined : metadata.count(windowKey);
  return Math.min(contextLength, window ?? contextLength);
}

function readShape(metadata: MetadataReader, { tensors }: GgufHeader, architecture: ArchitectureName): ModelShape {
  const key = (name: string) => `${architecture}.${name}`;
  const count = (name: string) => required(metadata.count(key(name)), key(name));
  const layers = count('block_count');
  if (layers > INVENTORY_LIMITS.layers) {
    throw unsupported(`${key('block_count')} is ${layers}: allowed: ${INVENTORY_LIMITS.layers} at most`);
  }
  const hiddenSize = count('embedding_length');
  const heads = count('attention.head_count');
  const kvHeads = metadata.count(key('attention.head_count_kv')) ?? heads;
  if (heads % kvHeads !== 0) throw corrupt(`${heads} heads cannot share ${kvHeads} key/value heads`);
  const headSize = metadata.count(key('attention.key_length')) ?? hiddenSize / heads;
  if (!Number.isInteger(headSize)) throw corrupt(`hidden size ${hiddenSize} does not divide into ${heads} heads`);
  if (headSize % HEAD_SIZE_STEP !== 0) {
    throw unsupported(`the head size is ${headSize}: allowed: multiples of ${HEAD_SIZE_STEP}`);
  }
  const valueSize = metadata.count(key('attention.value_length')) ?? headSize;
  if (valueSize !== headSize) {
    throw unsupported(`${key('attention.value_length')} is ${valueSize}: allowed: the key length (${headSize})`);
  }
  return {
    architecture,
    layers,
    hiddenSize,
    feedForwardSize: count('feed_forward_length'),
    heads,
    kvHeads,
    headSize,
    vocabSize: required(metadata.strings('tokenizer.ggml.tokens'), 'tokenizer.ggml.tokens').length,
    tiedEmbeddings: !tensors.has(OUTPUT_HEAD),
    ropeFactors: ARCHITECTURES[architecture].ropeFactors && tensors.has(ROPE_FACTORS),
  };
}

function checkTensors(header: GgufHeader, shape: ModelShape): void {
  const known = new Set<string>();
  for (const expected of allTensors(shape)) {
    const tensor = header.tensors.get(expected.name);
    if (!tensor) throw corrupt(`tensor "${expected.name}" is missing`);
    checkTensor(tensor, expected);
    known.add(expected.name);
  }
  for (const name of header.tensors.keys()) {
    // Biases, rotary factors, experts: to ignore one would give wrong answers rather than an error.
    if (!known.has(name))
      throw unsupported(`tensor ${quote(name)} is not part of the ${shape.architecture} architecture`);
  }
}

function checkTensor(tensor: GgufTensor, expected: ExpectedTensor): void {
  if (tensor.shape.length !== expected.shape.length || tensor.shape.some((size, i) => size !== expected.shape[i])) {
    throw corrupt(
      `tensor "${tensor.name}" has shape [${tensor.shape.join(', ')}], expected [${expected.shape.join(', ')}]`,
    );
  }
  const allowed = expected.shape.length === 1 ? VECTOR_TYPES : MATRIX_TYPES;
  if (!allowed.includes(tensor.type)) {
    throw new PangalacticError(
      'unsupported_tensor_type',
      `tensor "${tensor.name}" has type ${ggmlTypeLayout(tensor.type).name}: allowed: ${describeTypes(allowed)}`,
    );
  }
}
