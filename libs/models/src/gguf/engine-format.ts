import { PangalacticError } from '@pangalactic/contracts';
import { describeTypes, GgmlType, ggmlTypeLayout } from './ggml-type';

/**
 * How the engine holds a matrix: as float32, or as quants of 4 or 8 bits in groups that share a float32 scale and, in some
 * formats, a float32 offset: a weight is `scale x (quant - 2^(bits - 1)) + offset`. Nothing of a GGUF tensor is lost but
 * the rounding of an offset.
 */
export interface EngineFormat {
  readonly bits: 4 | 8 | 32;
  /** Weights of a group. */
  readonly groupSize: 1 | 16 | 32;
  readonly hasOffsets: boolean;
}

const FLOAT32: EngineFormat = { bits: 32, groupSize: 1, hasOffsets: false };
const BITS4: EngineFormat = { bits: 4, groupSize: 32, hasOffsets: false };
const BITS4_OFFSETS: EngineFormat = { bits: 4, groupSize: 32, hasOffsets: true };
const BITS8: EngineFormat = { bits: 8, groupSize: 32, hasOffsets: false };
const BITS8_OFFSETS: EngineFormat = { bits: 8, groupSize: 32, hasOffsets: true };
const BITS8_SMALL_GROUPS: EngineFormat = { bits: 8, groupSize: 16, hasOffsets: false };

const ENGINE_FORMATS: ReadonlyMap<GgmlType, EngineFormat> = new Map([
  [GgmlType.F32, FLOAT32],
  [GgmlType.F16, FLOAT32],
  [GgmlType.BF16, FLOAT32],
  [GgmlType.Q8_0, BITS8],
  [GgmlType.Q4_0, BITS4],
  [GgmlType.Q4_1, BITS4_OFFSETS],
  [GgmlType.Q5_0, BITS8],
  [GgmlType.Q5_1, BITS8_OFFSETS],
  [GgmlType.Q4_K, BITS4_OFFSETS],
  [GgmlType.Q5_K, BITS8_OFFSETS],
  [GgmlType.Q6_K, BITS8_SMALL_GROUPS],
]);

/** Types the engine multiplies with and looks embeddings up in. */
export const MATRIX_TYPES: readonly GgmlType[] = [...ENGINE_FORMATS.keys()];

/** Types of the small vectors: the engine holds them as float32. */
export const VECTOR_TYPES: readonly GgmlType[] = MATRIX_TYPES.filter((type) => ENGINE_FORMATS.get(type) === FLOAT32);

/** Equal formats are the same object. @throws PangalacticError `unsupported_tensor_type` */
export function engineFormat(type: GgmlType): EngineFormat {
  const format = ENGINE_FORMATS.get(type);
  if (format) return format;
  const name = ggmlTypeLayout(type).name;
  throw new PangalacticError('unsupported_tensor_type', `tensor type ${name}: allowed: ${describeTypes(MATRIX_TYPES)}`);
}

const FLOAT_BYTES = 4;

/**
 * Bytes of a tensor in the engine: the only source of the planner's memory ledger. The packed matrix kernels keep of each
 * group the quants, the scale and the sum of its weights; an offset is a weight of a matrix of its own.
 */
export function engineBytes(type: GgmlType, elements: number): number {
  const { bits, groupSize, hasOffsets } = engineFormat(type);
  if (bits === 32) return elements * FLOAT_BYTES;
  return (elements / groupSize) * ((groupSize * bits) / 8 + (hasOffsets ? 3 : 2) * FLOAT_BYTES);
}
