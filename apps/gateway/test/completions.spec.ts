import { FinishReason } from '@pangalactic/contracts';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { post, readEvents, startGateway, untilReady } from './gateway-harness';
import type { RunningGateway } from './gateway-harness';
import { goldenCase } from './golden';
import { answer, CONTEXT_LENGTH, modelSummary } from './scripted-cluster';

const hello = goldenCase(0);
const MODEL = 'pangalactic-nano';
const CHAT = { model: MODEL, messages: hello.messages };

let gateway: RunningGateway;
beforeAll(async () => {
  gateway = await startGateway();
  await untilReady(gateway.url);
});
afterAll(() => gateway.stop());
beforeEach(() => {
  gateway.cluster.calls.length = 0;
  gateway.cluster.script = () => answer(hello.completionIds);
});

const chat = (fields: object = {}) => post(gateway.url, '/v1/chat/completions', { ...CHAT, ...fields });
const complete = (fields: object) => post(gateway.url, '/v1/completions', { model: MODEL, ...fields });
const lastRequest = () => gateway.cluster.calls.at(-1)!.request;
const usage = (completionTokens: number) => ({
  prompt_tokens: hello.prompt_ids.length,
  completion_tokens: completionTokens,
  total_tokens: hello.prompt_ids.length + completionTokens,
  prompt_tokens_details: { cached_tokens: 0 },
});

describe('POST /v1/chat/completions', () => {
  it('answers in one piece', async () => {
    const response = await chat();
    expect(response.status).toBe(200);
    expect(await response.json()).toEqual({
      id: expect.stringMatching(/^chatcmpl-[0-9a-f]{32}$/) as string,
      object: 'chat.completion',
      created: expect.closeTo(Date.now() / 1000, -2) as number,
      model: MODEL,
      system_fingerprint: 'fp_aaaaaaaaaaaa',
      choices: [
        {
          index: 0,
          message: { role: 'assistant', content: hello.text, refusal: null },
          logprobs: null,
          finish_reason: 'stop',
        },
      ],
      usage: usage(hello.completionIds.length),
    });
  });

  it('streams: the role, the text, the reason, and nothing about usage', async () => {
    const response = await chat({ stream: true });
    expect(response.headers.get('content-type')).toBe('text/event-stream; charset=utf-8');
    const chunks = await readEvents(response);
    expect(chunks[0]!.choices[0]!.delta).toEqual({ role: 'assistant', content: '' });
    expect(chunks.map((chunk) => chunk.choices[0]!.delta!.content ?? '').join('')).toBe(hello.text);
    expect(chunks.map((chunk) => chunk.choices[0]!.finish_reason)).toEqual([
      ...Array<null>(chunks.length - 1).fill(null),
      'stop',
    ]);
    expect(new Set(chunks.map(({ id, object, created }) => `${id} ${object} ${created}`)).size).toBe(1);
    expect(chunks.some((chunk) => 'usage' in chunk)).toBe(false);
  });

  it('streams usage last when asked to', async () => {
    const chunks = await readEvents(await chat({ stream: true, stream_options: { include_usage: true } }));
    const last = chunks.pop()!;
    expect(last.choices).toEqual([]);
    expect(last.usage).toEqual(usage(hello.completionIds.length));
    expect(chunks.every((chunk) => chunk.usage === null)).toBe(true);
  });

  it('sends the templated prompt and the sampling to the head', async () => {
    const ours = { top_k: 40, min_p: 0.5, repetition_penalty: 1.5, frequency_penalty: -1, presence_penalty: 1 };
    const logit_bias = { 7: -100, 2047: 0.5 };
    await chat({ temperature: 0.5, top_p: 0.25, seed: -1, max_completion_tokens: 7, ...ours, logit_bias });
    expect(lastRequest()).toMatchObject({
      pipelineId: 'p1',
      promptIds: hello.prompt_ids,
      emittedIds: [],
      maxTokens: 7,
      sampling: {
        ...{ temperature: 0.5, topP: 0.25, topK: 40, minP: 0.5 },
        ...{ repetitionPenalty: 1.5, frequencyPenalty: -1, presencePenalty: 1 },
        logitBias: {
          tokens: [
            { id: 7, bias: -100 },
            { id: 2047, bias: 0.5 },
          ],
        },
      },
      seed: 2 ** 53 - 1,
      choiceIndex: 0,
    });
  });

  it('refuses a bias for a token that the vocabulary lacks', async () => {
    const response = await chat({ logit_bias: { 2048: 1 } });
    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({
      error: {
        message: "'logit_bias' must have token ids from 0 to 2047, not 2048.",
        param: 'logit_bias',
        code: 'invalid_request',
      },
    });
    expect(gateway.cluster.calls).toEqual([]);
  });

  it('draws a seed when none is given, and asks for no more than the context holds', async () => {
    await chat();
    const first = lastRequest();
    await chat({ max_tokens: 100_000 });
    const room = CONTEXT_LENGTH - hello.prompt_ids.length;
    expect([first.maxTokens, lastRequest().maxTokens]).toEqual([room, room]);
    expect(first.seed).not.toBe(lastRequest().seed);
    expect(Number.isSafeInteger(first.seed)).toBe(true);
    expect(first.attemptId).not.toBe(lastRequest().attemptId);
  });

  it('says when the length was the reason', async () => {
    gateway.cluster.script = () => answer(hello.completionIds.slice(0, 3), FinishReason.FINISH_REASON_LENGTH);
    const body = (await (await chat()).json()) as { choices: { finish_reason: string }[]; usage: object };
    expect(body.choices[0]!.finish_reason).toBe('length');
    expect(body.usage).toEqual(usage(3));
  });

  it.each([false, true])(
    'cuts at a stop string over several tokens and cancels the sequence (stream: %s)',
    async (stream) => {
      const response = await chat({ stop: ['PanGalactic Na'], stream });
      const text = stream
        ? (await readEvents(response)).map((chunk) => chunk.choices[0]!.delta!.content ?? '').join('')
        : ((await response.json()) as { choices: { message: { content: string } }[] }).choices[0]!.message.content;
      expect(text).toBe('Hello! I am ');
      const call = gateway.cluster.calls.at(-1)!;
      await expect.poll(() => call.cancelled).toBe(true);
    },
  );

  it('drops tokens that it has already', async () => {
    gateway.cluster.script = async function* () {
      yield { accepted: { promptTokens: 1, cachedTokens: 4 } };
      for (const [index, id] of hello.completionIds.entries()) {
        yield { token: { index, id } };
        yield { token: { index: 0, id: hello.completionIds[0]! } };
      }
      yield { finished: { reason: FinishReason.FINISH_REASON_STOP, completionTokens: hello.completionIds.length } };
    };
    const body = (await (await chat()).json()) as { choices: { message: { content: string } }[]; usage: object };
    expect(body.choices[0]!.message.content).toBe(hello.text);
    expect(body.usage).toMatchObject({ prompt_tokens_details: { cached_tokens: 4 } });
  });

  it('fetches the tokenizer once for all requests', async () => {
    await Promise.all([chat(), chat(), chat()]);
    expect(gateway.cluster.headerReads).toBe(1);
  });
});

describe('POST /v1/completions', () => {
  it.each([
    ['text', hello.prompt_text],
    ['token ids', hello.prompt_ids],
    ['a list of one', [hello.prompt_ids]],
  ])('completes %s', async (_name, prompt) => {
    const response = await complete({ prompt, max_tokens: 64 });
    expect(lastRequest().promptIds).toEqual(hello.prompt_ids);
    expect(await response.json()).toMatchObject({
      id: expect.stringMatching(/^cmpl-/) as string,
      object: 'text_completion',
      choices: [{ index: 0, text: hello.text, logprobs: null, finish_reason: 'stop' }],
      usage: usage(hello.completionIds.length),
    });
  });

  it('streams', async () => {
    const chunks = await readEvents(
      await complete({ prompt: 'x', stream: true, stream_options: { include_usage: true } }),
    );
    expect(chunks.map((chunk) => chunk.choices[0]?.text ?? '').join('')).toBe(hello.text);
    expect(chunks.map((chunk) => chunk.choices[0]?.finish_reason).slice(-2)).toEqual(['stop', undefined]);
    expect(chunks.every((chunk) => chunk.object === 'text_completion')).toBe(true);
  });

  it.each([
    ['prompt[1]', [5, 2048], "'prompt[1]' must be a token id from 0 to 2047, not 2048."],
    ['prompt', '', "'prompt' must have at least one token."],
  ])('refuses a wrong %s', async (param, prompt, message) => {
    const response = await complete({ prompt });
    expect(response.status).toBe(400);
    expect(await response.json()).toEqual({
      error: { message, type: 'invalid_request_error', param, code: 'invalid_request' },
    });
    expect(gateway.cluster.calls).toEqual([]);
  });
});

describe('GET /v1/models', () => {
  const nano = {
    id: MODEL,
    object: 'model',
    created: 1_700_000_000,
    owned_by: 'pangalactic',
    max_model_len: CONTEXT_LENGTH,
    state: 'READY',
  };
  const get = async (path: string) => {
    const response = await fetch(`${gateway.url}${path}`);
    return [response.status, await response.json()];
  };

  it('lists what is served', async () => {
    expect(await get('/v1/models')).toEqual([200, { object: 'list', data: [nano] }]);
    expect(await get(`/v1/models/${MODEL}`)).toEqual([200, nano]);
  });

  it('lists models that are loaded when a request comes, too', async () => {
    const { cluster } = gateway;
    const summary = { id: 'on-disk', state: 'NOT_LOADED', contextLength: 2048, origin: '' };
    cluster.publish({ routes: [cluster.route('p1')], models: [summary, modelSummary('READY')] });
    const onDisk = { ...nano, id: 'on-disk', created: 0, max_model_len: 2048, state: 'NOT_LOADED' };
    await expect.poll(() => get('/v1/models/on-disk')).toEqual([200, onDisk]);
    expect(await get('/v1/models')).toEqual([200, { object: 'list', data: [onDisk, nano] }]);
  });

  it('does not know others', async () => {
    const error = {
      message: "The model 'gpt-4' does not exist.",
      type: 'invalid_request_error',
      param: 'model',
      code: 'model_not_found',
    };
    expect(await get('/v1/models/gpt-4')).toEqual([404, { error }]);
  });
});
