import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { chat } from './chat';

let server: Server | undefined;

afterEach(() => new Promise((resolve) => (server ? server.close(resolve) : resolve(undefined))));

async function ask(listener: RequestListener) {
  const gateway = createServer(listener);
  server = gateway;
  await new Promise<void>((resolve) => gateway.listen(0, '127.0.0.1', resolve));
  const pieces: string[] = [];
  const answer = await chat({
    gatewayUrl: `http://127.0.0.1:${(gateway.address() as AddressInfo).port}`,
    model: 'nano',
    prompt: 'Hello',
    signal: new AbortController().signal,
    onText: (text) => pieces.push(text),
  });
  return { pieces, answer };
}

const event = (body: object) => `data: ${JSON.stringify(body)}\n\n`;
const delta = (content: string) => event({ choices: [{ delta: { content } }], usage: null });
const finish = event({ choices: [{ delta: {}, finish_reason: 'stop' }], usage: null });

describe('chat', () => {
  it('hands over each piece and counts the tokens by the usage', async () => {
    const { pieces, answer } = await ask((_, response) => {
      const usage = event({ choices: [], usage: { completion_tokens: 3 } });
      response.end(`${delta('')}${delta('Hi')}${delta(' there')}${usage}data: [DONE]\n\n`);
    });
    expect(pieces).toEqual(['Hi', ' there']);
    expect(answer).toMatchObject({ text: 'Hi there', completionTokens: 3 });
    expect(answer.timeToFirstTokenMs).toBeGreaterThan(0);
  });

  it('takes the time to the end of an answer without text', async () => {
    const { pieces, answer } = await ask((_, response) => {
      const usage = event({ choices: [], usage: { completion_tokens: 1 } });
      response.end(`${delta('')}${finish}${usage}data: [DONE]\n\n`);
    });
    expect(pieces).toEqual([]);
    expect(answer).toMatchObject({ text: '', completionTokens: 1, tokensPerSecond: 0 });
    expect(answer.timeToFirstTokenMs).toBeGreaterThan(0);
  });

  it('repeats what the gateway refuses', async () => {
    const refusal = ask((_, response) => {
      response.writeHead(503).end(JSON.stringify({ error: { message: 'no pipeline is ready' } }));
    });
    await expect(refusal).rejects.toThrow('the gateway answered 503: no pipeline is ready');
  });

  it.each([
    [event({ error: { message: 'node-2 failed' } }), 'the answer broke off: node-2 failed'],
    ['', 'the answer broke off: the gateway closed the stream'],
  ])('takes no broken answer for a whole one: %j', async (end, message) => {
    await expect(ask((_, response) => response.end(delta('Hi') + end))).rejects.toThrow(message);
  });
});
