import { once } from 'node:events';
import { createServer, get } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { SseWriter } from './sse-writer';
import type { SseTimings } from './sse-writer';

let server: Server;
afterEach(() => {
  server.closeAllConnections();
  server.close();
});

/** A request to a real server that answers with what `handle` writes. */
async function exchange(
  handle: (sse: SseWriter, response: ServerResponse) => Promise<void>,
  timings: Partial<SseTimings> = {},
): Promise<IncomingMessage> {
  server = createServer((_request, response) => {
    const sse = new SseWriter(
      response,
      { 'x-request-id': 'r1' },
      { pingIntervalMs: 60_000, stallTimeoutMs: 60_000, ...timings },
    );
    void handle(sse, response);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const outgoing = get({ port: (server.address() as AddressInfo).port });
  const [incoming] = (await once(outgoing, 'response')) as [IncomingMessage];
  return incoming.setEncoding('utf8');
}

async function textOf(incoming: IncomingMessage): Promise<string> {
  let text = '';
  for await (const piece of incoming) text += piece as string;
  return text;
}

describe('SseWriter', () => {
  it('writes events, and says when they are over', async () => {
    const incoming = await exchange(async (sse) => {
      await sse.send({ text: 'a\nb' });
      await sse.end();
    });
    expect(incoming.headers).toMatchObject({
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-cache',
      'x-request-id': 'r1',
    });
    expect(await textOf(incoming)).toBe('data: {"text":"a\\nb"}\n\ndata: [DONE]\n\n');
  });

  it('sends its head at once and comments while there is nothing to say', async () => {
    let proceed: () => void;
    const incoming = await exchange(
      async (sse) => {
        await new Promise<void>((resolve) => (proceed = resolve));
        await sse.end();
      },
      { pingIntervalMs: 20 },
    );
    const [first] = (await once(incoming, 'data')) as [string];
    expect(first).toMatch(/^(: ping\n\n)+$/);
    proceed!();
    expect(await textOf(incoming)).toMatch(/^(: ping\n\n)*data: \[DONE\]\n\n$/);
  });

  it('stops waiting when the client leaves', async () => {
    let finished = false;
    const incoming = await exchange(async (sse, response) => {
      while (!response.destroyed) await sse.send({ filler: 'x'.repeat(100_000) });
      finished = true;
    });
    incoming.destroy();
    await expect.poll(() => finished).toBe(true);
  });

  it('disconnects a client that reads nothing for too long', async () => {
    const incoming = await exchange(
      async (sse, response) => {
        while (!response.destroyed) await sse.send({ filler: 'x'.repeat(100_000) });
      },
      { stallTimeoutMs: 50 },
    );
    incoming.pause();
    await expect.poll(() => server.listening && connections(), { timeout: 5_000 }).toBe(0);
  });
});

function connections(): Promise<number> {
  return new Promise((resolve, reject) =>
    server.getConnections((error, count) => (error ? reject(error) : resolve(count))),
  );
}
