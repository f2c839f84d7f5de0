import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { PangalacticError, repositoryRoot } from '@pangalactic/contracts';
import { encodeGgufHeader, encodeNumber, encodeString, type GgufMetadata, texts, uint32 } from '@pangalactic/testing';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { describeModel } from '../architecture/describe-model';
import { MATRIX_TYPES } from './engine-format';
import { describeTypes, GgmlType } from './ggml-type';
import { parseGgufHeader, parseGgufHeaderInSteps } from './gguf-header';
import { GGUF_LIMITS } from './gguf-limits';

const TENSOR = { name: 'a', type: GgmlType.Q8_0, shape: [64, 3] };

describe('a real file', () => {
  const file = readFileSync(join(repositoryRoot(), 'models', 'pangalactic-nano.gguf'));
  const header = parseGgufHeader(file);

  it('has its metadata', () => {
    expect(header.version).toBe(3);
    expect(header.metadata.get('general.name')).toBe('pangalactic-nano');
    expect(header.metadata.get('llama.rope.freq_base')).toBe(10_000);
    expect(header.metadata.get('tokenizer.ggml.add_bos_token')).toBe(false);
    expect(header.metadata.get('tokenizer.ggml.tokens')).toHaveLength(2048);
  });

  it('has a tensor table that fills the file exactly', () => {
    expect(header.tensors.size).toBe(74);
    let next = header.dataOffset;
    for (const tensor of header.tensors.values()) {
      expect(tensor.offset).toBe(next);
      next = Math.ceil((tensor.offset + tensor.bytes) / header.alignment) * header.alignment;
    }
    expect(next).toBe(file.length);
    expect(header.tensors.get('blk.7.ffn_down.weight')).toMatchObject({ type: GgmlType.Q8_0, shape: [512, 192] });
  });

  it('is cut off wherever its header is', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: header.dataOffset - header.alignment }), (length) => {
        expect(() => parseGgufHeader(file.subarray(0, length))).toThrow(`the header is cut off after ${length} bytes`);
      }),
    );
  });
});

describe('a written header', () => {
  it('can be read in steps of a few thousand elements', () => {
    const words = Array.from({ length: 20_000 }, (_, index) => `word${index}`);
    const steps = parseGgufHeaderInSteps(encodeGgufHeader({ words: texts(words) }, [TENSOR]));
    let count = 0;
    let step = steps.next();
    for (; !step.done; step = steps.next()) count += 1;
    expect(count).toBeGreaterThan(words.length / 4096);
    expect(step.value.metadata.get('words')).toEqual(words);
  });

  it('reads back whatever its metadata is', () => {
    const scalar = fc.oneof(
      fc.record({ type: fc.constant('uint32' as const), value: fc.nat({ max: 2 ** 32 - 1 }) }),
      fc.record({ type: fc.constant('int32' as const), value: fc.integer() }),
      fc.record({ type: fc.constant('float32' as const), value: fc.float({ noNaN: true }) }),
      fc.record({ type: fc.constant('uint64' as const), value: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }) }),
      fc.record({ type: fc.constant('int64' as const), value: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }) }),
      fc.record({ type: fc.constant('bool' as const), value: fc.boolean() }),
      fc.record({ type: fc.constant('string' as const), value: fc.string({ unit: 'grapheme' }) }),
      fc.record({
        type: fc.constant('array' as const),
        of: fc.constant('string' as const),
        values: fc.array(fc.string({ unit: 'grapheme' })),
      }),
    );
    const key = fc.string({ unit: 'grapheme', minLength: 1 }).filter((name) => name !== 'general.alignment');
    fc.assert(
      fc.property(fc.dictionary(key, scalar, { noNullPrototype: true }), (metadata: GgufMetadata) => {
        const header = parseGgufHeader(encodeGgufHeader(metadata, [TENSOR]));
        const expected = Object.entries(metadata).map(([name, entry]) => {
          const value = entry.type === 'array' ? entry.values : entry.value;
          return [name, typeof value === 'bigint' && Number.isSafeInteger(Number(value)) ? Number(value) : value];
        });
        expect([...header.metadata]).toEqual(expected);
        expect(header.tensors.get('a')).toEqual({ ...TENSOR, offset: header.dataOffset, bytes: 2 * 3 * 34 });
      }),
    );
  });

  it('places tensors by its own alignment', () => {
    const bytes = encodeGgufHeader({ 'general.alignment': uint32(4096) }, [TENSOR]);
    expect(parseGgufHeader(bytes)).toMatchObject({ alignment: 4096, dataOffset: 4096 });
  });

  it('may be version 2', () => {
    const bytes = encodeGgufHeader({}, [TENSOR]);
    bytes.writeUInt32LE(2, 4);
    expect(parseGgufHeader(bytes).version).toBe(2);
  });

  it('says where its metadata ends', () => {
    const bytes = encodeGgufHeader({ 'general.file_type': uint32(7) }, [TENSOR]);
    const { tableOffset } = parseGgufHeader(bytes);
    expect(bytes.subarray(tableOffset, tableOffset + 9)).toEqual(encodeString('a'));
  });
});

/** A header with bytes of the test's choice behind the fixed part. */
function crafted(tensors: bigint | number, entries: bigint | number, ...parts: Buffer[]): Buffer {
  return Buffer.concat([
    Buffer.from('GGUF'),
    encodeNumber('uint32', 3),
    encodeNumber('uint64', tensors),
    encodeNumber('uint64', entries),
    ...parts,
  ]);
}

const u32 = (value: number) => encodeNumber('uint32', value);
const u64 = (value: bigint | number) => encodeNumber('uint64', value);
const ARRAY = u32(9);

function tensorEntry(name: string, shape: (bigint | number)[], type: number, offset: bigint | number): Buffer {
  return Buffer.concat([encodeString(name), u32(shape.length), ...shape.map(u64), u32(type), u64(offset)]);
}

function withVersion(version: number): Buffer {
  return Buffer.concat([Buffer.from('GGUF'), u32(version), u64(0), u64(0)]);
}

describe('a hostile header', () => {
  const huge = 2n ** 64n - 1n;
  const array = (count: bigint | number) => Buffer.concat([encodeString('k'), ARRAY, u32(0), u64(count)]);
  const nested = (depth: number) =>
    Buffer.concat([
      encodeString('k'),
      ARRAY,
      ...Array.from({ length: depth }, () => Buffer.concat([ARRAY, u64(1)])),
      u32(0),
      u64(0),
    ]);

  it.each<[string, Buffer, string]>([
    ['another format', Buffer.from('PK\u0003\u0004 and more'), 'not a GGUF file'],
    ['an old version', withVersion(1), 'GGUF version 1: allowed: 2, 3'],
    ['a future version', withVersion(4), 'GGUF version 4: allowed: 2, 3'],
    ['big-endian', withVersion(0x03000000), 'big-endian'],
    ['too many tensors', crafted(huge, 0), `number of tensors is ${huge}: allowed: up to ${GGUF_LIMITS.tensors}`],
    ['too many entries', crafted(0, huge), 'number of metadata entries is'],
    ['a long key', crafted(0, 1, u64(huge)), 'length of a metadata key is'],
    ['a long value', crafted(0, 1, encodeString('k'), u32(8), u64(2 ** 20 + 1)), 'metadata value of "k" is 1048577'],
    ['a long tensor name', crafted(1, 0, u64(65_536)), 'length of a tensor name is 65536'],
    ['a long array', crafted(0, 1, array(huge)), 'array length of "k" is'],
    ['an array longer than the bytes', crafted(0, 1, array(GGUF_LIMITS.arrayElements)), 'the header is cut off'],
    ['an unknown value type', crafted(0, 1, encodeString('k'), u32(13)), '"k" has value type 13'],
    ['nested arrays', crafted(0, 1, nested(5)), 'nests arrays deeper than 4'],
    ['nested arrays without end', crafted(0, 1, nested(10_000)), 'nests arrays deeper than 4'],
    [
      'a key twice',
      crafted(0, 2, ...[1, 2].map((n) => Buffer.concat([encodeString('k'), u32(4), u32(n)]))),
      'metadata key "k" occurs twice',
    ],
    ['an odd alignment', encodeGgufHeader({ 'general.alignment': uint32(48) }, []), 'general.alignment is 48'],
    ['no alignment', encodeGgufHeader({ 'general.alignment': uint32(0) }, []), 'general.alignment is 0'],
    ['a huge alignment', encodeGgufHeader({ 'general.alignment': uint32(2 ** 31) }, []), 'general.alignment is 2147'],
    ['a tensor twice', encodeGgufHeader({}, [TENSOR, TENSOR]), 'tensor "a" occurs twice'],
    ['no dimension', crafted(1, 0, tensorEntry('a', [], 0, 0)), 'tensor "a" has 0 dimensions'],
    ['five dimensions', crafted(1, 0, tensorEntry('a', [1, 1, 1, 1, 1], 0, 0)), 'tensor "a" has 5 dimensions'],
    ['an empty dimension', crafted(1, 0, tensorEntry('a', [32, 0], 0, 0)), 'a dimension of size 0'],
    ['a huge dimension', crafted(1, 0, tensorEntry('a', [huge], 0, 0)), 'a dimension of size'],
    ['a huge product', crafted(1, 0, tensorEntry('a', [2 ** 40, 2 ** 40], 0, 0)), 'the impossible shape'],
    ['half a block', crafted(1, 0, tensorEntry('a', [48, 2], GgmlType.Q4_0, 0)), 'rows of 48 elements'],
    ['an unaligned offset', crafted(1, 0, tensorEntry('a', [32], 0, 16)), 'offset 16: allowed: multiples of 32'],
    ['a huge offset', crafted(1, 0, tensorEntry('a', [32], 0, huge - 31n)), 'tensor "a" has offset'],
  ])('with %s is corrupt', (_name, bytes, message) => {
    expect(() => parseGgufHeader(bytes)).toThrow(
      expect.objectContaining({ code: 'corrupt_model_file', message: expect.stringContaining(message) as string }),
    );
  });

  it('with an unknown tensor type says so', () => {
    expect(() => parseGgufHeader(crafted(1, 0, tensorEntry('blk.0.attn_q.weight', [32], 99, 0)))).toThrow(
      expect.objectContaining({
        code: 'unsupported_tensor_type',
        message: `tensor "blk.0.attn_q.weight" has the unknown type 99: allowed: ${describeTypes(MATRIX_TYPES)}`,
      }),
    );
  });

  it('counts the elements of all arrays together', () => {
    // Eight arrays of a million one-byte elements each: every one is allowed, and all of their bytes are there.
    const one = (n: number) =>
      Buffer.concat([encodeString(`k${n}`), ARRAY, u32(0), u64(2 ** 20), Buffer.alloc(2 ** 20)]);
    const bytes = crafted(0, 8, ...Array.from({ length: 8 }, (_, n) => one(n)));
    expect(() => parseGgufHeader(bytes)).toThrow(`more than ${GGUF_LIMITS.arrayElements} array elements`);
  });

  it('never gets anything but a typed error', () => {
    const start = readFileSync(join(repositoryRoot(), 'models', 'pangalactic-nano.gguf')).subarray(0, 60_000);
    const end = parseGgufHeader(start).dataOffset;
    const { tableOffset } = parseGgufHeader(start);
    // The vocabulary is most of the header and of no interest: aim at the structure before and behind it.
    const position = fc.oneof(fc.integer({ min: 0, max: 1500 }), fc.integer({ min: tableOffset - 500, max: end }));
    const mutation = fc.tuple(position, fc.oneof(fc.constantFrom(0, 1, 0x7f, 0x80, 0xff), fc.integer({ max: 255 })));
    let refused = 0;
    fc.assert(
      fc.property(fc.array(mutation, { minLength: 1, maxLength: 6 }), (mutations) => {
        const bytes = Buffer.from(start);
        for (const [at, value] of mutations) bytes[at] = value;
        try {
          describeModel(parseGgufHeader(bytes));
        } catch (error) {
          expect(error).toBeInstanceOf(PangalacticError);
          refused += 1;
        }
      }),
      { numRuns: 1000 },
    );
    expect(refused).toBeGreaterThan(300);
  });
});
