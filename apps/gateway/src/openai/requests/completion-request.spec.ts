import { describe, expect, it } from 'vitest';
import { parseCompletionRequest } from './completion-request';

const parse = (fields: object) => parseCompletionRequest({ model: 'nano', prompt: 'Hello', ...fields });

describe('parseCompletionRequest', () => {
  it.each([
    ['Hello', { kind: 'text', text: 'Hello' }],
    ['', { kind: 'text', text: '' }],
    [['Hello'], { kind: 'text', text: 'Hello' }],
    [[1, 2, 3], { kind: 'tokens', ids: [1, 2, 3] }],
    [[[1, 2, 3]], { kind: 'tokens', ids: [1, 2, 3] }],
  ])('prompt %j becomes %j', (prompt, expected) => {
    expect(parse({ prompt }).prompt).toEqual(expected);
  });

  it.each([[undefined], [null], [5], [[]], [[[]]], [[-1]], [[1.5]], [['a', 1]], [{ text: 'a' }]])(
    'refuses the prompt %j',
    (prompt) => {
      expect(() => parse({ prompt })).toThrow(expect.objectContaining({ code: 'invalid_request', param: 'prompt' }));
    },
  );

  it.each([
    ['prompt', ['a', 'b']],
    ['prompt', [[1], [2]]],
    ['echo', true],
    ['suffix', 'x'],
    ['best_of', 2],
  ])('does not drop %s %j silently', (param, value) => {
    expect(() => parse({ [param]: value })).toThrow(expect.objectContaining({ code: 'unsupported_parameter', param }));
  });

  it.each([
    [{}, undefined],
    [{ logprobs: null }, undefined],
    [{ logprobs: 0 }, 0],
    [{ logprobs: 5 }, 5],
  ])('log probabilities %j become %j', (fields, topLogprobs) => {
    expect(parse(fields).sampling.topLogprobs).toBe(topLogprobs);
  });

  it.each([[6], [true], [-1]])('refuses %j log probabilities', (logprobs) => {
    expect(() => parse({ logprobs })).toThrow(expect.objectContaining({ code: 'invalid_request', param: 'logprobs' }));
  });

  it("makes 16 tokens unless told otherwise, which is OpenAI's default", () => {
    expect([parse({}).maxTokens, parse({ max_tokens: 3 }).maxTokens]).toEqual([16, 3]);
  });
});
