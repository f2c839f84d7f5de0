import OpenAI from 'openai';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { startGateway, untilReady } from './gateway-harness';
import type { RunningGateway } from './gateway-harness';
import { goldenCase } from './golden';
import { answer } from './scripted-cluster';

const hello = goldenCase(0);
const MODEL = 'pangalactic-nano';

let gateway: RunningGateway;
let client: OpenAI;
beforeAll(async () => {
  gateway = await startGateway({ GATEWAY_API_KEY: 'sk-client' });
  gateway.cluster.script = () => answer(hello.completionIds);
  await untilReady(gateway.url);
  client = new OpenAI({ baseURL: `${gateway.url}/v1`, apiKey: 'sk-client', maxRetries: 0 });
});
afterAll(() => gateway.stop());

it("OpenAI's own client lists models", async () => {
  const models = [];
  for await (const model of client.models.list()) models.push(model.id);
  expect(models).toEqual([MODEL]);
  expect(await client.models.retrieve(MODEL)).toMatchObject({ id: MODEL, owned_by: 'pangalactic' });
});

it("OpenAI's own client chats", async () => {
  const completion = await client.chat.completions.create({ model: MODEL, messages: hello.messages });
  expect(completion.choices[0]!.message.content).toBe(hello.text);
  expect(completion._request_id).toMatch(/^[0-9a-f-]{36}$/);
});

it("OpenAI's own client streams", async () => {
  const stream = client.chat.completions.stream({
    model: MODEL,
    messages: hello.messages,
    stream_options: { include_usage: true },
  });
  const completion = await stream.finalChatCompletion();
  expect(completion.choices[0]!.message).toMatchObject({ role: 'assistant', content: hello.text });
  expect(completion.choices[0]!.finish_reason).toBe('stop');
  expect(completion.usage!.completion_tokens).toBe(hello.completionIds.length);
});

it("OpenAI's own client completes text", async () => {
  const stream = await client.completions.create({ model: MODEL, prompt: hello.prompt_text, stream: true });
  let text = '';
  for await (const chunk of stream) text += chunk.choices[0]?.text ?? '';
  expect(text).toBe(hello.text);
});

it("OpenAI's own client understands the errors", async () => {
  const wrongKey = new OpenAI({ baseURL: `${gateway.url}/v1`, apiKey: 'sk-other', maxRetries: 0 });
  await expect(wrongKey.models.list()).rejects.toBeInstanceOf(OpenAI.AuthenticationError);
  const request = client.chat.completions.create({ model: 'gpt-4', messages: hello.messages });
  await expect(request).rejects.toMatchObject({ status: 404, code: 'model_not_found', param: 'model' });
});
