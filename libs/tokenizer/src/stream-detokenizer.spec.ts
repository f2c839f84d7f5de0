import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ModelTokenizer } from './model-tokenizer';
import { StreamDetokenizer } from './stream-detokenizer';
import { vocabularyHeader } from './vocabulary.fixture';

const FIRST_BYTE_ID = 6;
const tokenizer = ModelTokenizer.fromGguf(
  vocabularyHeader([['▁a'], ['é'], ['\ufeff']], { metadata: { 'tokenizer.ggml.add_space_prefix': true } }),
);
const byteIds = (bytes: Iterable<number>) => Array.from(bytes, (byte) => FIRST_BYTE_ID + byte);

function stream(ids: readonly number[]): string[] {
  const detokenizer = new StreamDetokenizer(tokenizer);
  return [...ids.map((id) => detokenizer.push(id)), detokenizer.flush()];
}

describe('StreamDetokenizer', () => {
  it.each<[string, number[], string[]]>([
    ['keeps the space a completion starts with', [3, 3], [' a', ' a', '']],
    ['holds a character back until its last byte', byteIds(Buffer.from('🚀')), ['', '', '', '🚀', '']],
    ['goes on after it', [...byteIds(Buffer.from('é')), 4], ['', 'é', 'é', '']],
    ['gives up on half a character at the end', byteIds([0xf0, 0x9f]), ['', '', '\ufffd']],
    ['gives up as soon as no character is possible', [...byteIds([0xe2]), 3], ['', '\ufffd a', '']],
    [
      'has no text for control tokens, even inside a character',
      [...byteIds([0xc3]), 2, ...byteIds([0xa9])],
      ['', '', 'é', ''],
    ],
    ['keeps a byte order mark', [5], ['\ufeff', '']],
  ])('%s', (_, ids, texts) => {
    expect(stream(ids)).toEqual(texts);
  });

  it('starts afresh after flush', () => {
    const detokenizer = new StreamDetokenizer(tokenizer);
    detokenizer.push(FIRST_BYTE_ID + 0xf0);
    expect(detokenizer.flush()).toBe('\ufffd');
    expect(detokenizer.push(3)).toBe(' a');
  });

  it('never emits half a character of a text', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        const parts = stream(byteIds(Buffer.from(text)));
        expect(parts.join('')).toBe(text);
        for (const part of parts) expect(Buffer.from(part).toString('utf8')).toBe(part);
      }),
    );
  });

  it('agrees with decoding all at once, for any bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array(), (bytes) => {
        expect(stream(byteIds(bytes)).join('')).toBe(Buffer.from(bytes).toString('utf8'));
      }),
    );
  });
});
