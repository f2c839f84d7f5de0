import { describe, expect, it } from 'vitest';
import type { GgufValue } from './gguf-value';
import { MetadataReader, required } from './metadata-reader';

const reader = (value: GgufValue) => new MetadataReader(new Map([['key', value]]));

describe('MetadataReader', () => {
  it('returns values of the right type and undefined for absent keys', () => {
    expect(reader('text').string('key')).toBe('text');
    expect(reader(false).boolean('key')).toBe(false);
    expect(reader(-1.5).number('key')).toBe(-1.5);
    expect(reader(1e-5).positive('key')).toBe(1e-5);
    expect(reader(2 ** 32 - 1).count('key')).toBe(2 ** 32 - 1);
    expect(reader(['a', 'b']).strings('key')).toEqual(['a', 'b']);
    expect(reader('text').count('absent')).toBeUndefined();
  });

  it.each<[string, (metadata: MetadataReader) => unknown, GgufValue, string]>([
    ['a number as text', (metadata) => metadata.string('key'), 7, 'key is 7: allowed: a text'],
    ['a number as boolean', (metadata) => metadata.boolean('key'), 1, 'key is 1: allowed: true or false'],
    ['a text as number', (metadata) => metadata.number('key'), '7', 'key is "7": allowed: a finite number'],
    ['NaN', (metadata) => metadata.number('key'), NaN, 'key is NaN: allowed: a finite number'],
    ['zero', (metadata) => metadata.positive('key'), 0, 'key is 0: allowed: a number above 0'],
    [
      'a fraction',
      (metadata) => metadata.count('key'),
      1.5,
      'key is 1.5: allowed: a whole number from 1 to 4294967295',
    ],
    ['a negative count', (metadata) => metadata.count('key'), -1, 'key is -1'],
    ['a 64-bit count', (metadata) => metadata.count('key'), 2n ** 60n, 'key is 1152921504606846976'],
    ['a list per layer', (metadata) => metadata.count('key'), [4, 8], 'key is a list of 2'],
    ['a list of numbers', (metadata) => metadata.strings('key'), [1], 'key is a list of 1: allowed: a list of texts'],
    ['a long text', (metadata) => metadata.count('key'), 'x\n'.repeat(100), 'key is "x\\nx\\n'],
  ])('refuses %s', (_name, read, value, message) => {
    expect(() => read(reader(value))).toThrow(
      expect.objectContaining({ code: 'corrupt_model_file', message: expect.stringContaining(message) as string }),
    );
  });
});

describe('required', () => {
  it('names the key that is missing', () => {
    expect(required(0, 'key')).toBe(0);
    expect(() => required(undefined, 'llama.block_count')).toThrow('llama.block_count is missing');
  });
});
