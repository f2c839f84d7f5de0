import { seededRandom } from '@pangalactic/testing';

/** A number in a header: a count, a length, a size, an offset, a type or a value. */
export interface NumberField {
  readonly offset: number;
  readonly bytes: 1 | 2 | 4 | 8;
}

/** By value type (gguf.md): bytes of a number; 8 is a string, 9 an array. */
const VALUE_BYTES = [1, 1, 2, 2, 4, 4, 4, 1, undefined, undefined, 8, 8, 8] as const;
const STRING = 8;
const ARRAY = 9;
/** Elements of an array whose fields are listed: vocabularies are long and all alike. */
const LISTED_ELEMENTS = 4;

/** Where the numbers lie in the header of a valid file. */
export function numberFields(file: Buffer): NumberField[] {
  const fields: NumberField[] = [];
  let at = 4;
  const number = (bytes: NumberField['bytes'], listed = true): number => {
    if (listed) fields.push({ offset: at, bytes });
    at += bytes;
    if (bytes === 8) return Number(file.readBigUInt64LE(at - 8));
    return file.readUIntLE(at - bytes, bytes);
  };
  const string = (listed = true) => {
    const length = number(8, listed);
    at += length;
  };
  const value = (type: number, listed = true): void => {
    if (type === STRING) return string(listed);
    if (type !== ARRAY) return void number(VALUE_BYTES[type]!, listed);
    const elementType = number(4, listed);
    const count = number(8, listed);
    for (let i = 0; i < count; i++) value(elementType, listed && i < LISTED_ELEMENTS);
  };
  number(4);
  const tensors = number(8);
  const entries = number(8);
  for (let i = 0; i < entries; i++) {
    string();
    value(number(4));
  }
  for (let i = 0; i < tensors; i++) {
    string();
    const dimensions = number(4);
    for (let d = 0; d < dimensions; d++) number(8);
    number(4);
    number(8);
  }
  return fields;
}

export interface MutableFile {
  readonly bytes: Buffer;
  readonly headerBytes: number;
  readonly fields: readonly NumberField[];
}

const HOSTILE_NUMBERS = [
  ...[0n, 1n, 2n, 3n, 31n, 32n, 255n, 256n, 65_535n, 65_536n],
  ...[2n ** 31n - 1n, 2n ** 31n, 2n ** 32n - 1n, 2n ** 32n, 2n ** 53n - 1n, 2n ** 53n],
  ...[2n ** 62n, 2n ** 63n - 1n, 2n ** 63n, 2n ** 64n - 32n, 2n ** 64n - 1n],
  // As float32: the smallest, infinities, NaN, -0, -1.
  ...[0x0000_0001n, 0x7f80_0000n, 0xff80_0000n, 0x7fc0_0000n, 0x8000_0000n, 0xbf80_0000n],
];

/** One to three changes of a file, equal for equal seeds. */
export function mutate({ bytes, headerBytes, fields }: MutableFile, seed: number): Buffer {
  const random = seededRandom(seed);
  const below = (limit: number) => Math.floor(random() * limit);
  const pick = <T>(choices: readonly T[]): T => choices[below(choices.length)]!;
  let file: Buffer = Buffer.from(bytes);
  /** Mostly in the header. */
  const position = () => below(random() < 0.8 ? Math.min(headerBytes, file.length) : file.length);

  const overwriteField = () => {
    const { offset, bytes: size } = pick(fields);
    if (offset + size > file.length) return;
    const old = size === 8 ? file.readBigUInt64LE(offset) : BigInt(file.readUIntLE(offset, size));
    const changed = pick([old + 1n, old - 1n, old * 2n, old / 2n, ...HOSTILE_NUMBERS]);
    const fitting = BigInt.asUintN(8 * size, changed);
    if (size === 8) file.writeBigUInt64LE(fitting, offset);
    else file.writeUIntLE(Number(fitting), offset, size);
  };
  const overwriteBytes = () => {
    for (let i = below(8); i >= 0 && file.length > 0; i--) file[position()] = below(256);
  };
  const cut = () => void (file = file.subarray(0, position()));
  const remove = () => {
    const start = position();
    file = Buffer.concat([file.subarray(0, start), file.subarray(start + 1 + below(64))]);
  };
  const insert = () => {
    const start = position();
    const extra = Buffer.from(Array.from({ length: 1 + below(64) }, () => below(256)));
    file = Buffer.concat([file.subarray(0, start), extra, file.subarray(start)]);
  };
  const copyPart = () => {
    const [from, to] = [position(), position()];
    file.copy(file, to, from, Math.min(file.length, from + 1 + below(200)));
  };

  const changes = [overwriteField, overwriteField, overwriteField, overwriteBytes, cut, remove, insert, copyPart];
  for (let i = below(3); i >= 0; i--) pick(changes)();
  return file;
}
