import type { BiasedToken, ErrorCode, GenerateRequest, Sampling } from '@pangalactic/contracts';
import { describe, expect, it } from 'vitest';
import { generateRequest } from '../testing/generate';
import { sequenceRequest } from './generate-request';

const LIMITS = { vocabSize: 100, contextLength: 16 };
const sampling = (temperature: number, topP: number, extras: Partial<Sampling> = {}) => ({
  sampling: { temperature, topP, ...extras },
});
const bias = (tokens: BiasedToken[]) => sampling(1, 1, { logitBias: { tokens } });

describe('sequenceRequest', () => {
  it.each<[string, Partial<GenerateRequest>]>([
    ['a prompt that leaves room for one token', { promptIds: Array<number>(15).fill(99) }],
    ['emitted tokens up to the context', { promptIds: [1, 2], emittedIds: Array<number>(14).fill(0) }],
    ['sampling at its bounds', sampling(0, 1)],
    ['hot sampling', sampling(2, 0.1)],
    [
      'every option at its lower bound',
      sampling(0, 1, {
        ...{ topK: 0, minP: 0, repetitionPenalty: Math.fround(0.1), frequencyPenalty: -2, presencePenalty: -2 },
        ...{ topLogprobs: 0, logitBias: { tokens: [{ id: 0, bias: -100 }] } },
      }),
    ],
    [
      'every option at its upper bound',
      sampling(0, 1, {
        ...{ topK: 2 ** 32 - 1, minP: 1, repetitionPenalty: 10, frequencyPenalty: 2, presencePenalty: 2 },
        ...{ topLogprobs: 20, logitBias: { tokens: Array<BiasedToken>(1024).fill({ id: 99, bias: 100 }) } },
      }),
    ],
    ['the largest seed', { seed: Number.MAX_SAFE_INTEGER }],
  ])('takes %s', (_case, overrides) => {
    const request = generateRequest(overrides);
    const { promptIds, emittedIds, seed } = sequenceRequest(request, LIMITS);
    expect({ promptIds, emittedIds, seed }).toEqual({
      promptIds: request.promptIds,
      emittedIds: request.emittedIds,
      seed: request.seed,
    });
  });

  it.each<[string, Partial<GenerateRequest>, ErrorCode, RegExp]>([
    ['no prompt', { promptIds: [] }, 'invalid_request', /prompt_ids is empty/],
    [
      'a prompt as long as the context',
      { promptIds: Array<number>(16).fill(1) },
      'context_length_exceeded',
      /16 tokens/,
    ],
    [
      'too many emitted tokens',
      { emittedIds: Array<number>(12).fill(1) },
      'invalid_request',
      /emitted_ids has 12 tokens/,
    ],
    [
      'a foreign prompt token',
      { promptIds: [1, 100] },
      'invalid_request',
      /prompt_ids has token 100: allowed are 0 to 99/,
    ],
    ['a foreign emitted token', { emittedIds: [100] }, 'invalid_request', /emitted_ids has token 100/],
    ['no sampling', { sampling: undefined }, 'invalid_request', /sampling is missing/],
    ['a negative temperature', sampling(-1, 1), 'invalid_request', /temperature is -1/],
    ['a temperature that is no number', sampling(NaN, 1), 'invalid_request', /temperature is NaN/],
    ['an endless temperature', sampling(Infinity, 1), 'invalid_request', /temperature is Infinity/],
    ['top_p 0', sampling(0, 0), 'invalid_request', /top_p is 0/],
    ['top_p above 1', sampling(0, 1.5), 'invalid_request', /top_p is 1.5/],
    ['min_p above 1', sampling(0, 1, { minP: 1.5 }), 'invalid_request', /min_p is 1.5: allowed is 0 to 1/],
    ['min_p that is no number', sampling(0, 1, { minP: NaN }), 'invalid_request', /min_p is NaN/],
    [
      'no repetition',
      sampling(0, 1, { repetitionPenalty: 0 }),
      'invalid_request',
      /repetition_penalty is 0: .* 0.1 to 10/,
    ],
    [
      'a frequency penalty above 2',
      sampling(0, 1, { frequencyPenalty: 3 }),
      'invalid_request',
      /frequency_penalty is 3/,
    ],
    [
      'a presence penalty below -2',
      sampling(0, 1, { presencePenalty: -3 }),
      'invalid_request',
      /presence_penalty is -3/,
    ],
    ['too many log probabilities', sampling(0, 1, { topLogprobs: 21 }), 'invalid_request', /top_logprobs is 21/],
    [
      'a bias for a foreign token',
      bias([{ id: 100, bias: 1 }]),
      'invalid_request',
      /logit_bias has token 100: .* 0 to 99/,
    ],
    ['a bias beyond 100', bias([{ id: 7, bias: 101 }]), 'invalid_request', /logit_bias of token 7 is 101/],
    ['a bias that is no number', bias([{ id: 7, bias: NaN }]), 'invalid_request', /logit_bias of token 7 is NaN/],
    [
      'too many biases',
      bias(Array<BiasedToken>(1025).fill({ id: 1, bias: 1 })),
      'invalid_request',
      /logit_bias has 1025 tokens: allowed are up to 1024/,
    ],
    ['a seed that numbers cannot hold', { seed: 2 ** 53 }, 'invalid_request', /seed is 9007199254740992/],
  ])('refuses %s', (_case, overrides, code, message) => {
    expect(() => sequenceRequest(generateRequest(overrides), LIMITS)).toThrow(
      expect.objectContaining({ code, message: expect.stringMatching(message) as string }),
    );
  });
});
