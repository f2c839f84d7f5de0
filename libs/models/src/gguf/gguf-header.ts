import { PangalacticError } from '@pangalactic/contracts';
import { ByteCursor, EndOfBytes } from './byte-cursor';
import { MATRIX_TYPES } from './engine-format';
import { describeTypes, GGML_TYPES, type GgmlType } from './ggml-type';
import { corrupt, describeValue, quote } from './errors';
import { GGUF_LIMITS } from './gguf-limits';
import type { GgufValue } from './gguf-value';

export interface GgufTensor {
  readonly name: string;
  readonly type: GgmlType;
  /** As in the file, fastest dimension first: a matrix is [in, out]. */
  readonly shape: readonly number[];
  /** Of the first byte, from the start of the file. */
  readonly offset: number;
  readonly bytes: number;
}

export interface GgufHeader {
  readonly version: number;
  readonly metadata: ReadonlyMap<string, GgufValue>;
  /** In file order. */
  readonly tensors: ReadonlyMap<string, GgufTensor>;
  /** Where the tensor table starts and the metadata ends, from the start of the file. */
  readonly tableOffset: number;
  /** Where the tensor data starts, from the start of the file. */
  readonly dataOffset: number;
  readonly alignment: number;
}

const MAGIC = 0x46554747; // 'GGUF'
const DEFAULT_ALIGNMENT = 32;

enum ValueType {
  Uint8 = 0,
  Int8 = 1,
  Uint16 = 2,
  Int16 = 3,
  Uint32 = 4,
  Int32 = 5,
  Float32 = 6,
  Bool = 7,
  String = 8,
  Array = 9,
  Uint64 = 10,
  Int64 = 11,
  Float64 = 12,
}

/** Array elements that are read between two yields: about a millisecond. */
const ELEMENTS_PER_STEP = 2048;

/** Parses the start of a GGUF file: metadata and tensor table. Safe for hostile bytes: they cost a bounded time and memory. */
export function parseGgufHeader(bytes: Uint8Array): GgufHeader {
  return toEnd(parseGgufHeaderInSteps(bytes));
}

/** The same for processes that have other things to do: the vocabularies of headers take a quarter of a second. */
export function* parseGgufHeaderInSteps(bytes: Uint8Array): Generator<void, GgufHeader, void> {
  const header = yield* parsePartially(bytes);
  if (!header) throw corrupt(`the header is cut off after ${bytes.byteLength} bytes`);
  return header;
}

/** @returns undefined if the header goes on behind these bytes. */
export function parsePartialGgufHeader(bytes: Uint8Array): GgufHeader | undefined {
  return toEnd(parsePartially(bytes));
}

function* parsePartially(bytes: Uint8Array): Generator<void, GgufHeader | undefined, void> {
  try {
    return yield* new HeaderParser(bytes).parse();
  } catch (error) {
    if (error instanceof EndOfBytes) return undefined;
    throw error;
  }
}

class HeaderParser {
  private readonly cursor: ByteCursor;
  private arrayElements = 0;

  constructor(bytes: Uint8Array) {
    this.cursor = new ByteCursor(bytes);
  }

  *parse(): Generator<void, GgufHeader, void> {
    const version = this.version();
    const tensorCount = this.limited('number of tensors', GGUF_LIMITS.tensors);
    const metadataCount = this.limited('number of metadata entries', GGUF_LIMITS.metadataEntries);
    const metadata = yield* this.metadata(metadataCount);
    const alignment = alignmentOf(metadata);
    const tableOffset = this.cursor.offset;
    const table = this.tensorTable(tensorCount, alignment);
    const dataOffset = Math.ceil(this.cursor.offset / alignment) * alignment;
    const tensors = new Map<string, GgufTensor>();
    for (const tensor of table) {
      if (tensors.has(tensor.name)) throw corrupt(`tensor ${quote(tensor.name)} occurs twice`);
      tensors.set(tensor.name, { ...tensor, offset: dataOffset + tensor.offset });
    }
    return { version, metadata, tensors, tableOffset, dataOffset, alignment };
  }

  private version(): number {
    if (this.cursor.uint32() !== MAGIC) throw corrupt('not a GGUF file: it does not start with the letters "GGUF"');
    const version = this.cursor.uint32();
    if (version === 2 || version === 3) return version;
    if (version === 0x02000000 || version === 0x03000000) throw corrupt('big-endian GGUF: allowed: little-endian');
    throw corrupt(`GGUF version ${version}: allowed: 2, 3`);
  }

  private *metadata(count: number): Generator<void, Map<string, GgufValue>, void> {
    const metadata = new Map<string, GgufValue>();
    for (let i = 0; i < count; i++) {
      const key = this.string('metadata key', GGUF_LIMITS.nameBytes);
      if (metadata.has(key)) throw corrupt(`metadata key ${quote(key)} occurs twice`);
      const type = this.cursor.uint32() as ValueType;
      metadata.set(key, type === ValueType.Array ? yield* this.array(key, 1) : this.scalar(type, key));
    }
    return metadata;
  }

  private scalar(type: ValueType, key: string): GgufValue {
    const { cursor } = this;
    switch (type) {
      case ValueType.Uint8:
        return cursor.uint8();
      case ValueType.Int8:
        return cursor.int8();
      case ValueType.Uint16:
        return cursor.uint16();
      case ValueType.Int16:
        return cursor.int16();
      case ValueType.Uint32:
        return cursor.uint32();
      case ValueType.Int32:
        return cursor.int32();
      case ValueType.Float32:
        return cursor.float32();
      case ValueType.Bool:
        return cursor.uint8() !== 0;
      case ValueType.String:
        return this.string(`metadata value of ${quote(key)}`, GGUF_LIMITS.stringBytes);
      case ValueType.Uint64:
        return numberIfExact(cursor.uint64());
      case ValueType.Int64:
        return numberIfExact(cursor.int64());
      case ValueType.Float64:
        return cursor.float64();
      default:
        throw corrupt(`metadata key ${quote(key)} has value type ${type}: allowed: 0 to ${ValueType.Float64}`);
    }
  }

  private *array(key: string, depth: number): Generator<void, GgufValue[], void> {
    if (depth > GGUF_LIMITS.arrayDepth) {
      throw corrupt(`metadata key ${quote(key)} nests arrays deeper than ${GGUF_LIMITS.arrayDepth}`);
    }
    const type = this.cursor.uint32() as ValueType;
    const count = this.limited(`array length of ${quote(key)}`, GGUF_LIMITS.arrayElements);
    this.arrayElements += count;
    if (this.arrayElements > GGUF_LIMITS.arrayElements) {
      throw corrupt(`the metadata holds more than ${GGUF_LIMITS.arrayElements} array elements`);
    }
    // No element is smaller than a byte, so a length that cannot be true ends here rather than in the loop.
    this.cursor.demand(count);
    const values: GgufValue[] = [];
    for (let i = 0; i < count; i++) {
      values.push(type === ValueType.Array ? yield* this.array(key, depth + 1) : this.scalar(type, key));
      if (i % ELEMENTS_PER_STEP === ELEMENTS_PER_STEP - 1) yield;
    }
    return values;
  }

  private tensorTable(count: number, alignment: number): GgufTensor[] {
    const table: GgufTensor[] = [];
    for (let i = 0; i < count; i++) {
      const name = this.string('tensor name', GGUF_LIMITS.nameBytes);
      const shape = this.shape(name);
      const type = this.cursor.uint32() as GgmlType;
      const bytes = tensorBytes(name, type, shape);
      const offset = numberIfExact(this.cursor.uint64());
      if (typeof offset !== 'number' || offset % alignment !== 0 || !Number.isSafeInteger(offset + bytes)) {
        throw corrupt(`tensor ${quote(name)} has offset ${offset}: allowed: multiples of ${alignment}`);
      }
      table.push({ name, type, shape, offset, bytes });
    }
    return table;
  }

  private shape(name: string): number[] {
    const dimensions = this.cursor.uint32();
    if (dimensions < 1 || dimensions > GGUF_LIMITS.tensorDimensions) {
      throw corrupt(
        `tensor ${quote(name)} has ${dimensions} dimensions: allowed: 1 to ${GGUF_LIMITS.tensorDimensions}`,
      );
    }
    return Array.from({ length: dimensions }, () => {
      const size = numberIfExact(this.cursor.uint64());
      if (typeof size !== 'number' || size < 1) throw corrupt(`tensor ${quote(name)} has a dimension of size ${size}`);
      return size;
    });
  }

  private string(what: string, limit: number): string {
    return this.cursor.utf8(this.limited(`length of a ${what}`, limit));
  }

  private limited(what: string, limit: number): number {
    const value = this.cursor.uint64();
    if (value > BigInt(limit)) throw corrupt(`${what} is ${value}: allowed: up to ${limit}`);
    return Number(value);
  }
}

function toEnd<T>(steps: Generator<void, T, void>): T {
  for (;;) {
    const { done, value } = steps.next();
    if (done) return value;
  }
}

function alignmentOf(metadata: ReadonlyMap<string, GgufValue>): number {
  const alignment = metadata.get('general.alignment') ?? DEFAULT_ALIGNMENT;
  if (typeof alignment === 'number' && alignment >= 1 && alignment <= GGUF_LIMITS.alignment) {
    if (Number.isInteger(Math.log2(alignment))) return alignment;
  }
  throw corrupt(
    `general.alignment is ${describeValue(alignment)}: allowed: powers of two up to ${GGUF_LIMITS.alignment}`,
  );
}

function tensorBytes(name: string, type: GgmlType, shape: readonly number[]): number {
  const layout = GGML_TYPES.get(type);
  if (!layout) {
    throw new PangalacticError(
      'unsupported_tensor_type',
      `tensor ${quote(name)} has the unknown type ${type}: allowed: ${describeTypes(MATRIX_TYPES)}`,
    );
  }
  if (shape[0]! % layout.blockSize !== 0) {
    throw corrupt(`tensor ${quote(name)} of type ${layout.name} has rows of ${shape[0]} elements: not whole blocks`);
  }
  const bytes = shape.reduce((product, size) => product * size, 1) * (layout.blockBytes / layout.blockSize);
  if (!Number.isSafeInteger(bytes))
    throw corrupt(`tensor ${quote(name)} has the impossible shape [${shape.join(', ')}]`);
  return bytes;
}

function numberIfExact(value: bigint): number | bigint {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}
