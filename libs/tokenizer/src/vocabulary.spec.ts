import { PangalacticError } from '@pangalactic/contracts';
import type { GgufValue } from '@pangalactic/models';
import { describe, expect, it } from 'vitest';
import { ModelTokenizer } from './model-tokenizer';
import { SentencePieceVocabulary } from './sentencepiece/sentencepiece-vocabulary';
import { TokenKind } from './vocabulary';
import { readVocabulary, vocabularyHeader } from './vocabulary.fixture';

function failureOf(metadata: Record<string, GgufValue | undefined>): PangalacticError {
  const header = vocabularyHeader([]);
  const changed = new Map([...header.metadata, ...Object.entries(metadata)]) as Map<string, GgufValue>;
  for (const [key, value] of Object.entries(metadata)) if (value === undefined) changed.delete(key);
  try {
    ModelTokenizer.fromGguf({ ...header, metadata: changed });
  } catch (error) {
    if (error instanceof PangalacticError) return error;
    throw error;
  }
  throw new Error('the vocabulary was accepted');
}

describe('Vocabulary', () => {
  it.each<[string, Record<string, GgufValue | undefined>, string, RegExp]>([
    [
      'another tokenizer',
      { 'tokenizer.ggml.model': 'bert' },
      'unsupported_tokenizer',
      /model is "bert": allowed: llama, gpt2/,
    ],
    [
      'no tokenizer',
      { 'tokenizer.ggml.model': undefined },
      'unsupported_tokenizer',
      /model is missing: allowed: llama, gpt2/,
    ],
    ['no tokens', { 'tokenizer.ggml.tokens': undefined }, 'corrupt_model_file', /tokens is missing or empty/],
    ['an empty list of tokens', { 'tokenizer.ggml.tokens': [] }, 'corrupt_model_file', /tokens is missing or empty/],
    [
      'tokens that are no texts',
      { 'tokenizer.ggml.tokens': [1, 2] },
      'corrupt_model_file',
      /tokens is .*: allowed: a list of texts/,
    ],
    ['too few scores', { 'tokenizer.ggml.scores': [1, 2] }, 'corrupt_model_file', /scores: allowed: a list of 259 num/],
    ['types that are no numbers', { 'tokenizer.ggml.token_type': 'x' }, 'corrupt_model_file', /token_type: allowed/],
    [
      'a flag that is no flag',
      { 'tokenizer.ggml.add_bos_token': 1 },
      'corrupt_model_file',
      /add_bos_token is 1: allowed: true or false/,
    ],
    [
      'an id that is no id',
      { 'tokenizer.ggml.bos_token_id': 'one' },
      'corrupt_model_file',
      /bos_token_id is "one": allowed: a finite number/,
    ],
  ])('refuses %s', (_, metadata, code, message) => {
    const failure = failureOf(metadata);
    expect(failure.code).toBe(code);
    expect(failure.message).toMatch(message);
  });

  it('refuses two tokens with one text', () => {
    expect(() => readVocabulary(vocabularyHeader([['a'], ['a']]))).toThrow('token 4, "a", has the text of token 3');
  });

  it('refuses a byte that is no byte', () => {
    expect(() => ModelTokenizer.fromGguf(vocabularyHeader([['<0xG0>', TokenKind.Byte]]))).toThrow('is no byte');
  });

  it('refuses ids outside the vocabulary', () => {
    const vocabulary = readVocabulary(vocabularyHeader([]));
    for (const id of [-1, 259, 1.5, NaN]) expect(() => vocabulary.text(id)).toThrow('allowed: 0 to 258');
  });

  it('takes SentencePiece defaults where the metadata is silent', () => {
    const { metadata } = vocabularyHeader([]);
    const silent = new Map([...metadata].filter(([key]) => /\.(model|tokens|token_type)$/.test(key)));
    const header = { ...vocabularyHeader([]), metadata: silent };
    const vocabulary = readVocabulary(header);
    expect(vocabulary).toMatchObject({ bosId: 1, sequenceStart: [1], sequenceEnd: [] });
    expect(new SentencePieceVocabulary(header, vocabulary)).toMatchObject({ unknownId: 0, addSpacePrefix: true });
  });

  it('ignores an id that converters write for "none"', () => {
    const metadata = { 'tokenizer.ggml.bos_token_id': 0xffffffff, 'tokenizer.ggml.add_bos_token': true };
    expect(readVocabulary(vocabularyHeader([], { metadata })).sequenceStart).toEqual([1]);
  });

  it('makes well-known ends of a turn control tokens', () => {
    const vocabulary = readVocabulary(vocabularyHeader([['<|im_end|>', TokenKind.UserDefined]]));
    expect(vocabulary.kind(3)).toBe(TokenKind.Control);
    expect(vocabulary.pieceId('<|im_end|>')).toBeUndefined();
  });
});
