import { describe, expect, it } from 'vitest';
import { parseChatRequest } from './chat-request';

const messages = [{ role: 'user', content: 'Hello' }];
const NEUTRAL = {
  temperature: 1,
  topP: 1,
  topK: 0,
  minP: 0,
  repetitionPenalty: 1,
  frequencyPenalty: 0,
  presencePenalty: 0,
  logitBias: { tokens: [] },
  topLogprobs: undefined,
};
const parse = (fields: object) => parseChatRequest({ model: 'nano', messages, ...fields });

const ALLOWED_BIAS = 'an object of up to 1024 token ids with numbers from -100 to 100';

function failure(parseIt: () => unknown): unknown {
  try {
    parseIt();
  } catch (error) {
    const { code, param, message } = error as { code: string; param?: string; message: string };
    return [code, param, message];
  }
  return 'accepted';
}

describe('parseChatRequest', () => {
  it('fills in the defaults', () => {
    expect(parse({})).toEqual({
      model: 'nano',
      messages,
      variables: {},
      sampling: NEUTRAL,
      choices: 1,
      maxTokens: undefined,
      stop: [],
      seed: undefined,
      stream: false,
      includeUsage: false,
    });
  });

  it.each([
    [
      { stop: null, seed: null, max_tokens: null, n: null },
      { stop: [], choices: 1 },
    ],
    [{ n: 8 }, { choices: 8 }],
    [{ max_tokens: 5 }, { maxTokens: 5 }],
    [{ max_tokens: 5, max_completion_tokens: 7 }, { maxTokens: 7 }],
    [{ stop: 'END' }, { stop: ['END'] }],
    [{ stop: ['a', 'b', 'c', 'd', 'e'] }, { stop: ['a', 'b', 'c', 'd', 'e'] }],
    [{ seed: 42 }, { seed: 42 }],
    [{ seed: -1 }, { seed: 2 ** 53 - 1 }],
    [{ seed: 2 ** 60 }, { seed: 0 }],
    [
      { stream: true, stream_options: { include_usage: true } },
      { stream: true, includeUsage: true },
    ],
    [
      { stream: true, stream_options: null },
      { stream: true, includeUsage: false },
    ],
    [{ user: 'me', something_new: { a: 1 } }, { model: 'nano' }],
  ])('%j becomes %j', (fields, expected) => {
    expect(parse(fields)).toMatchObject(expected);
  });

  it.each([
    [
      { temperature: 0, top_p: 0.5 },
      { temperature: 0, topP: 0.5 },
    ],
    [{ temperature: null, top_p: null, top_k: null, min_p: null, repetition_penalty: null }, {}],
    [{ frequency_penalty: null, presence_penalty: null, logit_bias: null, logprobs: null, top_logprobs: null }, {}],
    [
      { top_k: 40, min_p: 0.1, repetition_penalty: 1.1 },
      { topK: 40, minP: 0.1, repetitionPenalty: 1.1 },
    ],
    [{ top_k: -1 }, { topK: 0 }],
    [
      { frequency_penalty: -2, presence_penalty: 2 },
      { frequencyPenalty: -2, presencePenalty: 2 },
    ],
    [{ logprobs: true }, { topLogprobs: 0 }],
    [{ logprobs: true, top_logprobs: 20 }, { topLogprobs: 20 }],
    [{ logprobs: false, top_logprobs: 0 }, {}],
    [
      { logit_bias: { 5: -100, 0: 0.5 } },
      {
        logitBias: {
          tokens: [
            { id: 0, bias: 0.5 },
            { id: 5, bias: -100 },
          ],
        },
      },
    ],
  ])('sampling %j becomes %j', (fields, expected) => {
    expect(parse(fields).sampling).toEqual({ ...NEUTRAL, ...expected });
  });

  it.each([
    [
      { role: 'developer', content: 'x' },
      { role: 'system', content: 'x' },
    ],
    [
      { role: 'user', content: [{ type: 'text', text: 'a' }] },
      { role: 'user', content: 'a' },
    ],
    [
      {
        role: 'user',
        content: [
          { type: 'text', text: 'a' },
          { type: 'text', text: 'b' },
        ],
      },
      { role: 'user', content: 'a\nb' },
    ],
    [
      { role: 'assistant', content: 'x', tool_calls: [], refusal: null },
      { role: 'assistant', content: 'x' },
    ],
  ])('message %j becomes %j', (message, expected) => {
    expect(parse({ messages: [message] }).messages).toEqual([expected]);
  });

  it.each([
    ['model', { model: undefined }, "'model' is required: it must be the id of a model."],
    ['model', { model: '' }, `'model' must be the id of a model, not "".`],
    ['messages', { messages: undefined }, "'messages' is required: it must be a list of messages."],
    ['messages', { messages: [] }, "'messages' must be a list of at least one message, not []."],
    ['messages', { messages: 'Hi' }, `'messages' must be a list of messages, not "Hi".`],
    ['messages[0]', { messages: ['Hi'] }, `'messages[0]' must be an object with "role" and "content", not "Hi".`],
    [
      'messages[0].role',
      { messages: [{ role: 'boss', content: 'x' }] },
      `'messages[0].role' must be one of "system", "developer", "user", "assistant", not "boss".`,
    ],
    [
      'messages[0].content',
      { messages: [{ role: 'user' }] },
      `'messages[0].content' is required: it must be a string or a list of text parts such as {"type": "text", "text": "Hello"}.`,
    ],
    [
      'messages[0].content[0].text',
      { messages: [{ role: 'user', content: [{ type: 'text', text: 1 }] }] },
      `'messages[0].content[0].text' must be a string, not 1.`,
    ],
    ['temperature', { temperature: 2.1 }, "'temperature' must be a number from 0 to 2, not 2.1."],
    ['temperature', { temperature: '1' }, `'temperature' must be a number from 0 to 2, not "1".`],
    ['top_p', { top_p: 0 }, "'top_p' must be a number above 0 and up to 1, not 0."],
    [
      'top_k',
      { top_k: 1.5 },
      "'top_k' must be a whole number from -1 to 4294967295, 0 and -1 meaning all tokens, not 1.5.",
    ],
    ['min_p', { min_p: 1.1 }, "'min_p' must be a number from 0 to 1, not 1.1."],
    ['repetition_penalty', { repetition_penalty: 0 }, "'repetition_penalty' must be a number from 0.1 to 10, not 0."],
    ['frequency_penalty', { frequency_penalty: 3 }, "'frequency_penalty' must be a number from -2 to 2, not 3."],
    ['presence_penalty', { presence_penalty: '1' }, `'presence_penalty' must be a number from -2 to 2, not "1".`],
    ['n', { n: 0 }, "'n' must be a whole number from 1 to 8, not 0."],
    ['n', { n: 9 }, "'n' must be a whole number from 1 to 8, not 9."],
    ['logprobs', { logprobs: 3 }, "'logprobs' must be true or false, not 3."],
    [
      'top_logprobs',
      { logprobs: true, top_logprobs: 21 },
      "'top_logprobs' must be a whole number from 0 to 20, not 21.",
    ],
    ['top_logprobs', { top_logprobs: 3 }, `'top_logprobs' must be left out unless "logprobs" is true, not 3.`],
    ['logit_bias', { logit_bias: [1] }, `'logit_bias' must be ${ALLOWED_BIAS}, not [1].`],
    ['logit_bias', { logit_bias: { hello: 1 } }, `'logit_bias' must be ${ALLOWED_BIAS}, not {"hello":1}.`],
    ['logit_bias', { logit_bias: { '1.5': 1 } }, `'logit_bias' must be ${ALLOWED_BIAS}, not {"1.5":1}.`],
    ['logit_bias.7', { logit_bias: { 7: 101 } }, "'logit_bias.7' must be a number from -100 to 100, not 101."],
    ['logit_bias.7', { logit_bias: { 7: '1' } }, `'logit_bias.7' must be a number from -100 to 100, not "1".`],
    ['max_tokens', { max_tokens: 0 }, "'max_tokens' must be a whole number of at least 1, not 0."],
    ['max_tokens', { max_tokens: 1.5 }, "'max_tokens' must be a whole number of at least 1, not 1.5."],
    ['stop', { stop: '' }, `'stop' must be a string of 1 to 1024 characters or a list of up to 16 of them, not "".`],
    [
      'stop',
      { stop: ['a', 1] },
      `'stop' must be a string of 1 to 1024 characters or a list of up to 16 of them, not ["a",1].`,
    ],
    ['seed', { seed: 1.5 }, "'seed' must be a whole number, not 1.5."],
    ['stream', { stream: 'yes' }, `'stream' must be true or false, not "yes".`],
    [
      'stream_options',
      { stream_options: { include_usage: true } },
      `'stream_options' must be left out unless "stream" is true, not {"include_usage":true}.`,
    ],
    [
      'stream_options.include_usage',
      { stream: true, stream_options: { include_usage: 1 } },
      `'stream_options.include_usage' must be true or false, not 1.`,
    ],
  ])('refuses a wrong %s: %j', (param, fields, message) => {
    expect(failure(() => parse(fields))).toEqual(['invalid_request', param, message]);
  });

  it.each([[null], [[]], ['text'], [undefined]])('refuses the body %j', (body) => {
    expect(failure(() => parseChatRequest(body))).toEqual([
      'invalid_request',
      undefined,
      'The request body must be a JSON object.',
    ]);
  });

  it.each<[string, unknown]>([
    ['tools', [{ type: 'function', function: { name: 'f' } }]],
    ['tool_choice', 'auto'],
    ['functions', [{ name: 'f' }]],
    ['response_format', { type: 'json_object' }],
    ['audio', { voice: 'x' }],
    ['modalities', ['text', 'audio']],
    ['prediction', { type: 'content', content: 'x' }],
  ])('does not drop %s silently', (param, value) => {
    expect(failure(() => parse({ [param]: value }))).toEqual([
      'unsupported_parameter',
      param,
      expect.stringContaining(`'${param}'`),
    ]);
  });

  it.each([
    ['messages[0].role', { role: 'tool', content: 'x', tool_call_id: '1' }],
    ['messages[0].tool_calls', { role: 'assistant', content: '', tool_calls: [{ id: '1' }] }],
    ['messages[0].content[0].type', { role: 'user', content: [{ type: 'image_url', image_url: { url: 'x' } }] }],
  ])('names %s of a message that asks for more than text', (param, message) => {
    expect(failure(() => parse({ messages: [message] }))).toEqual([
      'unsupported_parameter',
      param,
      expect.stringContaining('not supported'),
    ]);
  });

  it('accepts the values that ask for nothing', () => {
    const neutral = {
      tools: [],
      tool_choice: 'none',
      response_format: { type: 'text' },
      audio: null,
      modalities: ['text'],
    };
    expect(failure(() => parse(neutral))).toBe('accepted');
  });

  it('hands variables to the chat template', () => {
    const variables = { enable_thinking: false, date_string: '1 May 2025', depth: 2, nothing: null };
    expect(parse({ chat_template_kwargs: variables }).variables).toEqual(variables);
    expect(parse({ chat_template_kwargs: null }).variables).toEqual({});
  });

  it.each([
    ['a text', 'thinking', '', 'an object of at most 16 names'],
    ['a list', [true], '', 'an object of at most 16 names'],
    ['an object inside', { tools: {} }, '.tools', 'true, false, null, a number or a string of at most 1024 characters'],
    ['a long string', { style: 'x'.repeat(1025) }, '.style', 'true, false, null, a number or a string of at most 1024'],
    ['a name that is none', { 'enable thinking': false }, '', 'an object of at most 16 names'],
    [
      'too many',
      Object.fromEntries(Array.from({ length: 17 }, (_, index) => [`name${index}`, true])),
      '',
      'an object of',
    ],
  ])('refuses %s as variables', (_, chat_template_kwargs, path, allowed) => {
    expect(failure(() => parse({ chat_template_kwargs }))).toEqual([
      'invalid_request',
      `chat_template_kwargs${path}`,
      expect.stringContaining(`'chat_template_kwargs${path}' must be ${allowed}`),
    ]);
  });

  it('takes no more biases than the protocol does', () => {
    const bias = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, id) => [id, 1]));
    expect(parse({ logit_bias: bias(1024) }).sampling.logitBias?.tokens).toHaveLength(1024);
    expect(failure(() => parse({ logit_bias: bias(1025) }))).toEqual([
      'invalid_request',
      'logit_bias',
      expect.stringContaining(ALLOWED_BIAS),
    ]);
  });

  it('counts messages before it looks at them', () => {
    expect(failure(() => parse({ messages: Array(2049).fill(7) }))).toEqual([
      'invalid_request',
      'messages',
      expect.stringMatching(/^'messages' must be a list of at most 2048 messages, not \[7,7,/),
    ]);
  });

  it('shortens long values in its messages', () => {
    const [, , message] = failure(() => parse({ temperature: 'x'.repeat(10_000) })) as [string, string, string];
    expect(message.length).toBeLessThan(200);
  });
});
