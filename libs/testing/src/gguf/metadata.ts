const VALUE_TYPES = { uint32: 4, int32: 5, float32: 6, bool: 7, string: 8, array: 9, uint64: 10, int64: 11 } as const;
const NUMBER_BYTES = { uint32: 4, int32: 4, float32: 4, uint64: 8, int64: 8 } as const;

type NumberType = keyof typeof NUMBER_BYTES;

type Scalar = number | bigint | boolean | string;

/** A metadata value with the type it has in the file: readers are strict about it. */
export type TypedValue =
  | { readonly type: NumberType; readonly value: number | bigint }
  | { readonly type: 'bool'; readonly value: boolean }
  | { readonly type: 'string'; readonly value: string }
  | {
      readonly type: 'array';
      readonly of: Exclude<keyof typeof VALUE_TYPES, 'array'>;
      readonly values: readonly Scalar[];
    };

export type GgufMetadata = Readonly<Record<string, TypedValue>>;

export const uint32 = (value: number): TypedValue => ({ type: 'uint32', value });
export const float32 = (value: number): TypedValue => ({ type: 'float32', value });
export const bool = (value: boolean): TypedValue => ({ type: 'bool', value });
export const text = (value: string): TypedValue => ({ type: 'string', value });
export const texts = (values: readonly string[]): TypedValue => ({ type: 'array', of: 'string', values });
export const int32s = (values: readonly number[]): TypedValue => ({ type: 'array', of: 'int32', values });
export const float32s = (values: readonly number[]): TypedValue => ({ type: 'array', of: 'float32', values });

/** The metadata section of a GGUF file. */
export function encodeMetadata(metadata: GgufMetadata): Buffer {
  const parts: Buffer[] = [];
  for (const [key, value] of Object.entries(metadata)) {
    parts.push(encodeString(key), encodeNumber('uint32', VALUE_TYPES[value.type]));
    if (value.type === 'array') {
      parts.push(encodeNumber('uint32', VALUE_TYPES[value.of]), encodeNumber('uint64', value.values.length));
      for (const element of value.values) parts.push(encodeValue(value.of, element));
    } else {
      parts.push(encodeValue(value.type, value.value));
    }
  }
  return Buffer.concat(parts);
}

export function encodeString(value: string): Buffer {
  const bytes = Buffer.from(value, 'utf8');
  return Buffer.concat([encodeNumber('uint64', bytes.length), bytes]);
}

export function encodeNumber(type: NumberType, value: number | bigint): Buffer {
  const bytes = Buffer.alloc(NUMBER_BYTES[type]);
  if (type === 'uint32') bytes.writeUInt32LE(Number(value));
  else if (type === 'int32') bytes.writeInt32LE(Number(value));
  else if (type === 'float32') bytes.writeFloatLE(Number(value));
  else if (type === 'uint64') bytes.writeBigUInt64LE(BigInt(value));
  else bytes.writeBigInt64LE(BigInt(value));
  return bytes;
}

function encodeValue(type: Exclude<keyof typeof VALUE_TYPES, 'array'>, value: Scalar): Buffer {
  if (type === 'string') return encodeString(value as string);
  if (type === 'bool') return Buffer.of(value ? 1 : 0);
  return encodeNumber(type, value as number | bigint);
}
