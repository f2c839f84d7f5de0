import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { repositoryRoot } from '@pangalactic/contracts';
import { readGgufHeader } from '@pangalactic/models';
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { ModelTokenizer } from './model-tokenizer';
import { StreamDetokenizer } from './stream-detokenizer';
import { TokenKind } from './vocabulary';
import { vocabularyHeader } from './vocabulary.fixture';

interface TokenizerGolden {
  readonly plain: readonly { readonly text: string; readonly ids: readonly number[] }[];
}

interface CompletionGolden {
  readonly cases: readonly {
    readonly prompt_text: string;
    readonly prompt_ids: readonly number[];
    readonly greedy_ids: readonly number[];
    readonly text: string;
  }[];
}

const models = join(repositoryRoot(), 'models');
const golden = <T>(name: string) => JSON.parse(readFileSync(join(models, 'golden', name), 'utf8')) as T;
const PLAIN = { addSpecial: false, parseSpecial: false };
const PARSED = { addSpecial: false, parseSpecial: true };

describe('ModelTokenizer of pangalactic-nano', () => {
  let tokenizer: ModelTokenizer;
  beforeAll(async () => {
    tokenizer = ModelTokenizer.fromGguf((await readGgufHeader(join(models, 'pangalactic-nano.gguf'))).header);
  });

  it('knows its vocabulary', () => {
    expect(tokenizer).toMatchObject({ vocabSize: 2048, bosId: 1 });
    expect(tokenizer.controlTexts).toEqual(['<|im_start|>', '<|im_end|>', '<unk>', '<s>']);
    expect([0, 1, 2, 3, 4, 437].map((id) => tokenizer.isSpecial(id))).toEqual([true, true, true, true, false, false]);
  });

  it.each(golden<TokenizerGolden>('tokenizer.json').plain)('encodes $text', ({ text, ids }) => {
    expect(tokenizer.encode(text, PLAIN)).toEqual(ids);
    expect(tokenizer.decode(ids)).toBe(text);
  });

  it.each(golden<CompletionGolden>('golden-q8_0.json').cases)('encodes $prompt_text', (expected) => {
    expect(tokenizer.encode(expected.prompt_text, PARSED)).toEqual(expected.prompt_ids);
    const stream = new StreamDetokenizer(tokenizer);
    const text = expected.greedy_ids.map((id) => stream.push(id)).join('') + stream.flush();
    expect(text).toBe(expected.text);
    expect(tokenizer.decode(expected.greedy_ids)).toBe(expected.text);
  });

  it('reads control texts as control tokens only when asked to', () => {
    expect(tokenizer.encode('a<|im_end|>b', PARSED)).toEqual([1970, 2, 1990]);
    const plain = tokenizer.encode('a<|im_end|>b', PLAIN);
    expect(plain.some((id) => tokenizer.isSpecial(id))).toBe(false);
    expect(tokenizer.decode(plain)).toBe('a<|im_end|>b');
  });

  it('shows single tokens', () => {
    const euro = tokenizer.encode('\u20ac', PLAIN);
    expect(
      tokenizer
        .encode('Hello there', PLAIN)
        .map((id) => tokenizer.tokenText(id))
        .join(''),
    ).toBe('Hello there');
    expect(euro.map((id) => tokenizer.tokenText(id))).toEqual(['\ufffd', '\ufffd', '\ufffd']);
    expect(tokenizer.tokenText(2)).toBe('<|im_end|>');
  });

  it('gives back any text', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        expect(tokenizer.decode(tokenizer.encode(text, PLAIN))).toBe(text);
      }),
    );
  });

  it('counts half a surrogate pair as U+FFFD', () => {
    expect(tokenizer.encode('a\ud800b\udc00', PLAIN)).toEqual(tokenizer.encode('a\ufffdb\ufffd', PLAIN));
  });
});

describe('ModelTokenizer of a vocabulary with a space prefix', () => {
  const metadata = {
    'tokenizer.ggml.add_space_prefix': true,
    'tokenizer.ggml.add_bos_token': true,
    'tokenizer.ggml.add_eos_token': true,
  };
  const pieces = [['▁'], ['a'], ['▁a'], ['[X]', TokenKind.UserDefined], ['[X]a', TokenKind.UserDefined]] as const;
  const [space, a, spaceA, x, xa] = [3, 4, 5, 6, 7];
  const tokenizer = ModelTokenizer.fromGguf(vocabularyHeader(pieces, { metadata }));

  it.each<[string, boolean, boolean, number[]]>([
    ['', false, false, []],
    ['', true, false, [1, 2]],
    ['a', false, false, [spaceA]],
    ['a', true, false, [1, spaceA, 2]],
    [' a', false, false, [space, spaceA]],
    ['a a', false, false, [spaceA, spaceA]],
    ['<s>a</s>a', false, true, [1, spaceA, 2, spaceA]],
    ['a<s>', true, true, [1, spaceA, 1, 2]],
    ['[X]', false, false, [x]],
    ['a[X]a', false, false, [spaceA, xa]],
    ['[X] a', false, true, [x, space, spaceA]],
  ])('encodes %j (addSpecial %s, parseSpecial %s)', (text, addSpecial, parseSpecial, ids) => {
    expect(tokenizer.encode(text, { addSpecial, parseSpecial })).toEqual(ids);
  });

  it.each<[number[], string]>([
    [[], ''],
    [[spaceA, spaceA], 'a a'],
    [[a, spaceA], 'a a'],
    [[space, spaceA], ' a'],
    [[1, spaceA, 2], ' a'],
    [[x, a], '[X]a'],
    [[0, 1, 2], ''],
  ])('decodes %j', (ids, text) => {
    expect(tokenizer.decode(ids)).toBe(text);
  });
});
