import { once } from 'node:events';
import { request } from 'node:http';
import type { IncomingMessage } from 'node:http';
import { until } from '@pangalactic/testing';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { post, readEvents, startGateway, untilReady } from './gateway-harness';
import type { RunningGateway } from './gateway-harness';
import { goldenCase } from './golden';
import { untilAborted } from './scripted-cluster';
import type { SeenCall } from './scripted-cluster';

const hello = goldenCase(0);
const CHAT = { model: 'pangalactic-nano', messages: hello.messages };
const TIMEOUT = { timeoutMs: 10_000 };

let gateway: RunningGateway;
beforeAll(async () => {
  gateway = await startGateway();
  await untilReady(gateway.url);
});
afterAll(() => gateway.stop());
beforeEach(() => {
  gateway.cluster.calls.length = 0;
});

const accepted = { accepted: { promptTokens: 1, cachedTokens: 0 } };
const token = (index: number) => ({ token: { index, id: hello.completionIds[index % hello.completionIds.length]! } });
const theCall = (): Promise<SeenCall> =>
  until(() => gateway.cluster.calls[0], { ...TIMEOUT, message: 'a Generate call' });

describe('a client that leaves', () => {
  it.each([
    ['waits for the first token', true, 0],
    ['has read some tokens', true, 3],
    ['waits for an answer in one piece', false, 3],
  ])('while it %s frees the slot', async (_name, stream, tokens) => {
    gateway.cluster.script = async function* (_request, signal) {
      yield accepted;
      for (let index = 0; index < tokens; index += 1) yield token(index);
      await untilAborted(signal);
    };
    const client = new AbortController();
    const response = post(gateway.url, '/v1/chat/completions', { ...CHAT, stream }, { signal: client.signal });
    const gone = expect(response.then((answered) => answered.text())).rejects.toThrow();
    const call = await theCall();
    await until(() => call.taken === tokens + 1, { ...TIMEOUT, message: 'all tokens on the way' });
    expect(call.cancelled).toBe(false);
    client.abort();
    await gone;
    await until(() => call.cancelled, { ...TIMEOUT, message: 'the cancelled call' });
  });

  it('while the sequence waits for a slot leaves the queue', async () => {
    gateway.cluster.script = async function* (_request, signal) {
      await untilAborted(signal);
    };
    const client = new AbortController();
    const gone = expect(post(gateway.url, '/v1/chat/completions', CHAT, { signal: client.signal })).rejects.toThrow();
    const call = await theCall();
    client.abort();
    await gone;
    await until(() => call.cancelled, { ...TIMEOUT, message: 'the cancelled call' });
  });
});

describe('a client that reads slowly', () => {
  it('holds back the head, so that nothing piles up in the gateway; once it reads, all tokens come', async () => {
    gateway.cluster.script = async function* () {
      yield accepted;
      for (let index = 0; ; index += 1) yield token(index);
    };
    const body = JSON.stringify({ ...CHAT, stream: true });
    const outgoing = request(`${gateway.url}/v1/chat/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
    });
    outgoing.end(body);
    const [response] = (await once(outgoing, 'response')) as [IncomingMessage];
    response.pause();

    const call = await theCall();
    const stalledAt = await untilStalled(call);
    // What the kernel's socket buffers and the windows of HTTP/2 take; an unbounded reader would go on for ever.
    expect(stalledAt).toBeLessThan(100_000);

    let received = 0;
    response.on('data', (chunk: Buffer) => (received += chunk.length)).resume();
    await until(() => call.taken > stalledAt + 1_000, { ...TIMEOUT, message: 'more tokens after reading on' });
    expect(received).toBeGreaterThan(0);
    outgoing.destroy();
    await until(() => call.cancelled, { ...TIMEOUT, message: 'the cancelled call' });
  });
});

async function untilStalled(call: SeenCall): Promise<number> {
  let last = -1;
  let since = performance.now();
  await until(
    () => {
      if (call.taken !== last) since = performance.now();
      last = call.taken;
      return last > 0 && performance.now() - since > 500;
    },
    { ...TIMEOUT, message: () => `a head that is held back (${last} tokens)` },
  );
  return last;
}

describe('a head with a defect in the middle of an answer', () => {
  beforeEach(() => {
    gateway.cluster.script = async function* () {
      yield accepted;
      for (let index = 0; index < 3; index += 1) yield token(index);
      throw new Error('boom');
    };
  });

  it('ends the stream with an error event', async () => {
    const response = await post(gateway.url, '/v1/chat/completions', { ...CHAT, stream: true });
    expect(response.status).toBe(200);
    const events = await readEvents(response);
    expect(events.pop()!.error).toMatchObject({ code: 'internal_error', type: 'server_error' });
    expect(events.map((event) => event.choices[0]!.delta!.content).join('')).toBe('Hello! I');
    expect(gateway.cluster.calls).toHaveLength(1);
  });

  it('is a status for an answer in one piece', async () => {
    const response = await post(gateway.url, '/v1/chat/completions', CHAT);
    expect(response.status).toBe(500);
    expect(await response.json()).toMatchObject({ error: { code: 'internal_error' } });
  });

  it('never hides a lost token', async () => {
    gateway.cluster.script = async function* () {
      yield accepted;
      yield token(0);
      yield token(2);
    };
    const events = await readEvents(await post(gateway.url, '/v1/chat/completions', { ...CHAT, stream: true }));
    expect(events.at(-1)!.error).toMatchObject({ code: 'invalid_frame' });
  });
});
