import { FinishReason } from '@pangalactic/contracts';
import type { GenerateRequest } from '@pangalactic/contracts';
import OpenAI from 'openai';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { post, readEvents, startGateway, untilReady } from './gateway-harness';
import type { RunningGateway } from './gateway-harness';
import { goldenCase } from './golden';

const hello = goldenCase(0);
const MODEL = 'pangalactic-nano';
const IM_END = 2;
/** Exact in float32, as the wire carries it. */
const LOGPROB = -0.125;

let gateway: RunningGateway;
beforeAll(async () => {
  gateway = await startGateway();
  await untilReady(gateway.url);
});
afterAll(() => gateway.stop());
beforeEach(() => {
  gateway.cluster.calls.length = 0;
  gateway.cluster.script = scoredAnswer;
});

/** A head that reports as many of the most likely tokens as it is asked for: its own, then the end of the turn. */
async function* scoredAnswer({ sampling }: GenerateRequest) {
  yield { accepted: { promptTokens: 1, cachedTokens: 0 } };
  for (const [index, id] of hello.completionIds.entries()) {
    const ranked = [
      { id, logprob: LOGPROB },
      { id: IM_END, logprob: -4 },
    ];
    const logprobs = { logprob: LOGPROB, top: ranked.slice(0, sampling?.topLogprobs) };
    yield { token: { index, id, logprobs: sampling?.topLogprobs === undefined ? undefined : logprobs } };
  }
  yield { finished: { reason: FinishReason.FINISH_REASON_STOP, completionTokens: hello.completionIds.length } };
}

interface Answer {
  readonly choices: { logprobs: Record<string, unknown[]>; message?: { content: string } }[];
}

const ask = async (path: string, fields: object) =>
  (await (await post(gateway.url, path, { model: MODEL, ...fields })).json()) as Answer;
const chat = (fields: object) => ask('/v1/chat/completions', { messages: hello.messages, ...fields });
const complete = (fields: object) => ask('/v1/completions', { prompt: hello.prompt_ids, max_tokens: 64, ...fields });
const wanted = () => gateway.cluster.calls.at(-1)!.request.sampling!.topLogprobs;
const bytes = (text: string) => [...Buffer.from(text)];

describe('log probabilities of a chat', () => {
  it('have the shape of OpenAI', async () => {
    const { choices } = await chat({ logprobs: true, top_logprobs: 2 });
    const { content, refusal } = choices[0]!.logprobs as { content: { token: string }[]; refusal?: unknown };
    expect(refusal).toBeNull();
    expect(content).toHaveLength(hello.completionIds.length);
    expect(content.map(({ token }) => token).join('')).toBe(hello.text);
    expect(content[0]).toEqual({
      token: 'Hello',
      logprob: LOGPROB,
      bytes: bytes('Hello'),
      top_logprobs: [
        { token: 'Hello', logprob: LOGPROB, bytes: bytes('Hello') },
        { token: '<|im_end|>', logprob: -4, bytes: null },
      ],
    });
    expect(wanted()).toBe(2);
  });

  it('of the chosen tokens alone need no top_logprobs', async () => {
    const { choices } = await chat({ logprobs: true });
    expect(choices[0]!.logprobs.content![0]).toEqual({
      ...{ token: 'Hello', logprob: LOGPROB, bytes: bytes('Hello'), top_logprobs: [] },
    });
    expect(wanted()).toBe(0);
  });

  it('are null when nobody asks for them, and the head is not asked either', async () => {
    expect((await chat({})).choices[0]!.logprobs).toBeNull();
    expect(wanted()).toBeUndefined();
  });

  it('stream with the text they belong to', async () => {
    const response = await post(gateway.url, '/v1/chat/completions', {
      ...{ model: MODEL, messages: hello.messages, logprobs: true, stream: true },
    });
    const chunks = (await readEvents(response)).map((chunk) => chunk.choices[0]!);
    const text = chunks.filter(({ logprobs }) => logprobs);
    for (const { delta, logprobs } of text) {
      expect(logprobs!.content!.map(({ token }) => token).join('')).toBe(delta!.content);
    }
    expect(text.map(({ delta }) => delta!.content).join('')).toBe(hello.text);
    expect([chunks[0]!.logprobs, chunks.at(-1)!.logprobs]).toEqual([null, null]);
  });

  it('do not tell what a stop string cut off', async () => {
    const { choices } = await chat({ logprobs: true, stop: ['PanGalactic'] });
    const { message, logprobs } = choices[0]!;
    expect(message!.content).toBe('Hello! I am ');
    const tokens = (logprobs.content as { token: string }[]).map(({ token }) => token);
    expect(tokens.length).toBeGreaterThan(2);
    expect('Hello! I am '.startsWith(tokens.join(''))).toBe(true);
  });

  it("reach OpenAI's own client", async () => {
    const client = new OpenAI({ baseURL: `${gateway.url}/v1`, apiKey: 'none', maxRetries: 0 });
    const stream = client.chat.completions.stream({
      ...{ model: MODEL, messages: hello.messages, logprobs: true, top_logprobs: 1 },
    });
    const completion = await stream.finalChatCompletion();
    const content = completion.choices[0]!.logprobs!.content!;
    expect(content.map(({ token }) => token).join('')).toBe(hello.text);
  });
});

describe('log probabilities of a text completion', () => {
  it('have the legacy shape', async () => {
    const { tokens, token_logprobs, top_logprobs, text_offset } = (await complete({ logprobs: 2 })).choices[0]!
      .logprobs;
    expect(tokens!.join('')).toBe(hello.text);
    expect(token_logprobs).toEqual(tokens!.map(() => LOGPROB));
    expect(top_logprobs![0]).toEqual({ Hello: LOGPROB, '<|im_end|>': -4 });
    const offsets = (tokens as string[]).map((_, index) => tokens!.slice(0, index).join('').length);
    expect(text_offset).toEqual(offsets);
  });

  it('always have the chosen token', async () => {
    const { logprobs } = (await complete({ logprobs: 0 })).choices[0]!;
    expect(logprobs.top_logprobs![0]).toEqual({ Hello: LOGPROB });
    expect(wanted()).toBe(0);
  });

  it('stream with the text they belong to', async () => {
    const response = await post(gateway.url, '/v1/completions', {
      ...{ model: MODEL, prompt: 'x', max_tokens: 64, logprobs: 1, stream: true },
    });
    const chunks = (await readEvents(response)).map((chunk) => chunk.choices[0]!);
    for (const { text, logprobs } of chunks.slice(0, -1)) expect(logprobs!.tokens!.join('')).toBe(text);
    expect(chunks.map(({ text }) => text).join('')).toBe(hello.text);
  });
});
