import type { PreTokenizer } from '@pangalactic/models';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { PRE_TOKENIZER_PATTERNS, splitWords } from './pre-tokenizers';

const words = (preTokenizer: PreTokenizer, text: string) => [...splitWords(text, PRE_TOKENIZER_PATTERNS[preTokenizer])];
const PRE_TOKENIZERS = Object.keys(PRE_TOKENIZER_PATTERNS) as PreTokenizer[];

describe('splitWords', () => {
  it.each<[PreTokenizer, string, string[]]>([
    ['gpt2', "I'm  here, we'll see 1234!", ['I', "'m", ' ', ' here', ',', ' we', "'ll", ' see', ' 1234', '!']],
    ['gpt2', "IT'S\n\n\tx", ['IT', "'", 'S', '\n\n', '\t', 'x']],
    ['llama3', "IT'S we'LL\n\n x\t\ty", ['IT', "'S", ' we', "'LL", '\n\n', ' x', '\t', '\ty']],
    ['llama3', '1234567 (ab)!?\r\n', ['123', '456', '7', ' (', 'ab', ')!?\r\n']],
    ['qwen2', '1234 $a', ['1', '2', '3', '4', ' $', 'a']],
    ['smollm', 'a  12 b', ['a', '  ', '1', '2', ' b']],
    ['default', '12345+6, a$', ['123', '45', '+', '6', ',', ' a', '$']],
    ['tekken', 'camelCaseWord HTTPServer/\n日本', ['camel', 'Case', 'Word', ' HTTPServer', '/\n', '日本']],
    ['seed-coder', 'a!\n\n1', ['a', '!', '\n\n', '1']],
    ['gpt2', '  ', ['  ']],
    ['gpt2', '', []],
    ['gpt2', '!\u0085\ufeff', ['!', '\u0085', '\ufeff']],
  ])('%s: %j', (preTokenizer, text, expected) => {
    expect(words(preTokenizer, text)).toEqual(expected);
  });

  it.each(PRE_TOKENIZERS)('loses nothing and has no empty words: %s', (preTokenizer) => {
    const text = fc.string({ unit: fc.oneof(fc.constantFrom(..." \n\r\t'sRE1٣$.é日"), fc.string({ unit: 'binary' })) });
    fc.assert(
      fc.property(text, (sample) => {
        const found = words(preTokenizer, sample);
        expect(found.join('')).toBe(sample);
        expect(found).not.toContain('');
      }),
    );
  });

  it('can be interrupted by another text', () => {
    const [first, second] = ['one two three', 'four five six'].map((text) =>
      splitWords(text, PRE_TOKENIZER_PATTERNS.gpt2),
    );
    const taken = [first, second, first, second, first, second].map((found) => found!.next().value);
    expect(taken).toEqual(['one', 'four', ' two', ' five', ' three', ' six']);
  });
});
