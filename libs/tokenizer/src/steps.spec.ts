import { join } from 'node:path';
import { repositoryRoot } from '@pangalactic/contracts';
import { readGgufHeader } from '@pangalactic/models';
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { ChatTemplate } from './chat/chat-template';
import { encodeChat } from './chat/encode-chat';
import { ModelTokenizer } from './model-tokenizer';
import { runToEnd, type Steps } from './steps';
import { byteLevelHeader, vocabularyHeader } from './vocabulary.fixture';

const PARSED = { addSpecial: false, parseSpecial: true };

function countSteps(steps: Steps<unknown>): number {
  let count = 0;
  while (!steps.next().done) count += 1;
  return count;
}

describe('encoding in steps', () => {
  let tokenizer: ModelTokenizer;
  let template: ChatTemplate;
  beforeAll(async () => {
    const { header } = await readGgufHeader(join(repositoryRoot(), 'models/pangalactic-nano.gguf'));
    tokenizer = ModelTokenizer.fromGguf(header);
    template = ChatTemplate.fromGguf(header);
  });

  it.each(['a', 'the quick brown fox ', '漢字', '<|im_', '\n<|im_end|>', '< >'])(
    'never does more than a few hundred characters in one: %j',
    (unit) => {
      const text = unit.repeat(100_000 / unit.length);
      const characters = [...text].length;
      expect(countSteps(tokenizer.encodeInSteps(text, { addSpecial: false, parseSpecial: false }))).toBeGreaterThan(
        characters / 512,
      );
      const messages = [{ role: 'user', content: text }];
      expect(countSteps(encodeChat(tokenizer, template, { messages }))).toBeGreaterThan(characters / 512);
    },
  );

  it('lets a rendered prompt be refused before it is encoded', () => {
    const seen: string[] = [];
    const refuse = (rendered: string) => {
      seen.push(rendered);
      throw new Error('too long');
    };
    expect(() =>
      runToEnd(encodeChat(tokenizer, template, { messages: [{ role: 'user', content: 'Hi' }] }, refuse)),
    ).toThrow('too long');
    expect(seen).toEqual(['<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n']);
  });
});

describe('reading a tokenizer in steps', () => {
  it('never reads more than a few thousand tokens or merges in one', () => {
    const words = Array.from({ length: 20_000 }, (_, index) => `word${index}`);
    const merges = Array.from({ length: 20_000 }, (_, index) => `w ${index}`);
    const header = byteLevelHeader([], { words, metadata: { 'tokenizer.ggml.merges': merges } });
    expect(countSteps(ModelTokenizer.read(header))).toBeGreaterThan((words.length + merges.length) / 4096);
  });
});

describe('fewestTokens', () => {
  const piece = fc.oneof(fc.string(), fc.string({ unit: 'binary' }), fc.constantFrom('abcdef', '<s>', '🚀', '\ud800'));
  const text = fc.array(piece, { maxLength: 30 }).map((pieces) => pieces.join(''));

  it.each([
    ['bytes for unknown characters', true],
    ['one token for an unknown character', false],
  ])('is never more than the tokens that a text has: %s', (_, bytes) => {
    const tokenizer = ModelTokenizer.fromGguf(
      vocabularyHeader([['ab'], ['abcd'], ['abcdef'], ['a'], ['b']], { bytes }),
    );
    fc.assert(
      fc.property(text, (sample) => {
        expect(tokenizer.fewestTokens(sample)).toBeLessThanOrEqual(tokenizer.encode(sample, PARSED).length);
      }),
    );
  });

  it('is reached by nothing but the longest token', () => {
    const pieces = ['ab', 'cd', 'ef', 'gh', 'abcd', 'efgh', 'abcdefgh'].map((each) => [each] as const);
    const tokenizer = ModelTokenizer.fromGguf(vocabularyHeader(pieces, { bytes: false }));
    const sample = 'abcdefgh'.repeat(10);
    expect(tokenizer.fewestTokens(sample)).toBe(10);
    expect(tokenizer.encode(sample, PARSED)).toHaveLength(10);
  });
});
