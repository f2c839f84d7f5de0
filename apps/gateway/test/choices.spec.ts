import { FinishReason, PangalacticError } from '@pangalactic/contracts';
import type { GenerateRequest } from '@pangalactic/contracts';
import { until } from '@pangalactic/testing';
import OpenAI from 'openai';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { post, readEvents, startGateway, untilReady } from './gateway-harness';
import type { RunningGateway, StreamedChunk } from './gateway-harness';
import { goldenCase } from './golden';
import { answer, untilAborted } from './scripted-cluster';

const hello = goldenCase(0);
const CHAT = { model: 'pangalactic-nano', messages: hello.messages, n: 3 };
const TIMEOUT = { timeoutMs: 10_000 };

let gateway: RunningGateway;
beforeEach(async () => {
  gateway = await startGateway({ GATEWAY_QUEUE_TIMEOUT_S: '1' });
  gateway.cluster.script = ownAnswer;
  await untilReady(gateway.url);
});
afterEach(() => gateway.stop());

/** Each choice is one token shorter than the one before it. */
const idsOf = (choiceIndex: number) => hello.completionIds.slice(0, hello.completionIds.length - choiceIndex);
const ownAnswer = ({ choiceIndex }: GenerateRequest) => answer(idsOf(choiceIndex));
const chat = (fields: object = {}, init?: RequestInit) =>
  post(gateway.url, '/v1/chat/completions', { ...CHAT, ...fields }, init);
const calls = () => gateway.cluster.calls;
const textOf = (chunks: readonly StreamedChunk[], index: number) =>
  chunks
    .flatMap((chunk) => chunk.choices)
    .filter((choice) => choice.index === index)
    .map((choice) => choice.delta?.content ?? '')
    .join('');
const accepted = { accepted: { promptTokens: 1, cachedTokens: 0 } };
const token = (index: number) => ({ token: { index, id: hello.completionIds[index]! } });

const completionTokens = [0, 1, 2].reduce((sum, choiceIndex) => sum + idsOf(choiceIndex).length, 0);
const usage = {
  prompt_tokens: hello.prompt_ids.length,
  completion_tokens: completionTokens,
  total_tokens: hello.prompt_ids.length + completionTokens,
  prompt_tokens_details: { cached_tokens: 0 },
};

interface Answer {
  readonly choices: { index: number; message: { content: string }; finish_reason: string }[];
  readonly usage: object;
}

describe('several choices', () => {
  it('are sequences of their own with the same prompt and seed', async () => {
    const body = (await (await chat({ seed: 7 })).json()) as Answer;
    expect(body.choices.map(({ index }) => index)).toEqual([0, 1, 2]);
    expect(body.choices[0]!.message.content).toBe(hello.text);
    expect(new Set(body.choices.map(({ message }) => message.content)).size).toBe(3);
    expect(body.usage).toEqual(usage);
    const requests = calls().map(({ request }) => request);
    expect(requests.map(({ choiceIndex }) => choiceIndex).sort()).toEqual([0, 1, 2]);
    for (const { seed, promptIds } of requests) expect([seed, promptIds]).toEqual([7, hello.prompt_ids]);
    expect(new Set(requests.map(({ attemptId }) => attemptId)).size).toBe(3);
  });

  it('stream side by side, each with its role, its text and its reason', async () => {
    const chunks = await readEvents(await chat({ stream: true, stream_options: { include_usage: true } }));
    const last = chunks.pop()!;
    expect(last).toMatchObject({ choices: [], usage });
    const choices = chunks.flatMap((chunk) => chunk.choices);
    for (const index of [0, 1, 2]) {
      const own = choices.filter((choice) => choice.index === index);
      expect(own[0]!.delta).toEqual({ role: 'assistant', content: '' });
      expect(own.map(({ finish_reason }) => finish_reason).filter(Boolean)).toEqual(['stop']);
      expect(own.at(-1)!.finish_reason).toBe('stop');
    }
    expect(textOf(chunks, 0)).toBe(hello.text);
  });

  it('complete text, too', async () => {
    const response = await post(gateway.url, '/v1/completions', { model: CHAT.model, prompt: 'x', n: 2 });
    const { choices } = (await response.json()) as { choices: { index: number; text: string }[] };
    expect(choices.map(({ index }) => index)).toEqual([0, 1]);
    expect(choices[0]!.text).toBe(hello.text);
  });

  it("reach OpenAI's own client", async () => {
    const client = new OpenAI({ baseURL: `${gateway.url}/v1`, apiKey: 'none', maxRetries: 0 });
    const completion = await client.chat.completions.stream({ ...CHAT }).finalChatCompletion();
    expect(completion.choices.map(({ index }) => index)).toEqual([0, 1, 2]);
    expect(completion.choices[0]!.message.content).toBe(hello.text);
  });

  it('wait for the first one to have computed the prompt', async () => {
    let proceed: () => void;
    const held = new Promise<void>((resolve) => (proceed = resolve));
    gateway.cluster.script = async function* (request) {
      for await (const response of ownAnswer(request)) {
        if (request.choiceIndex === 0 && response.token?.index === 0) await held;
        yield response;
      }
    };
    const response = await chat({ stream: true });
    expect(calls()).toHaveLength(1);
    proceed!();
    await readEvents(response);
    expect(calls()).toHaveLength(3);
  });

  it('wait for a place as long as another of them has one', async () => {
    // A head with one slot, which each sequence keeps for longer than the queue timeout.
    let slot = Promise.resolve();
    gateway.cluster.script = async function* ({ choiceIndex }) {
      const before = slot;
      let release = () => {};
      slot = new Promise((resolve) => (release = resolve));
      await before;
      for await (const response of answer(idsOf(choiceIndex))) {
        if (response.finished) await new Promise((resolve) => setTimeout(resolve, 1_300));
        yield response;
      }
      release();
    };
    const body = (await (await chat({ n: 2 })).json()) as Answer;
    expect(body.choices).toHaveLength(2);
  });

  it.each([true, false])('all end when the client leaves (stream: %s)', async (stream) => {
    gateway.cluster.script = async function* (_request, signal) {
      yield accepted;
      yield token(0);
      await untilAborted(signal);
    };
    const client = new AbortController();
    const response = chat({ stream }, { signal: client.signal });
    const gone = expect(response.then((answered) => answered.text())).rejects.toThrow();
    await until(() => calls().length === 3 && calls().every(({ taken }) => taken === 2), {
      ...TIMEOUT,
      message: 'three sequences under way',
    });
    client.abort();
    await gone;
    await until(() => calls().every(({ cancelled }) => cancelled), { ...TIMEOUT, message: 'three cancelled calls' });
  });

  it('all end when one of them fails, and so does the request', async () => {
    gateway.cluster.script = async function* ({ choiceIndex }, signal) {
      yield accepted;
      yield token(0);
      if (choiceIndex === 1) throw new PangalacticError('kv_gap', 'a row starts at 5, its KV ends at 3');
      await untilAborted(signal);
    };
    const response = await chat();
    expect(response.status).toBe(500);
    const others = calls().filter(({ request }) => request.choiceIndex !== 1);
    await until(() => others.every(({ cancelled }) => cancelled), { ...TIMEOUT, message: 'the cancelled calls' });
    const events = await readEvents(await chat({ stream: true }));
    expect(events.at(-1)!.error).toMatchObject({ code: 'kv_gap' });
  });

  it('end with reasons of their own', async () => {
    gateway.cluster.script = ({ choiceIndex }) =>
      answer([5], choiceIndex === 1 ? FinishReason.FINISH_REASON_LENGTH : FinishReason.FINISH_REASON_STOP);
    const body = (await (await chat()).json()) as Answer;
    expect(body.choices.map(({ finish_reason }) => finish_reason)).toEqual(['stop', 'length', 'stop']);
  });
});
