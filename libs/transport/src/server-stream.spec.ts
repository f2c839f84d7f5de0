import { PangalacticError, type ReadModelHeaderResponse } from '@pangalactic/contracts';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { connectNode } from './client';
import { settled, startSpecServer, type SpecServer } from './grpc-server.fixture';
import { streamResponse } from './stream-response';

const FINGERPRINT = { fingerprint: 'f' };
const CHUNK = Buffer.alloc(64 * 1024, 7);

type Produce = (signal: AbortSignal) => AsyncIterable<ReadModelHeaderResponse>;

const closers: (() => unknown)[] = [];

afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

async function serve(produce: Produce, until?: AbortSignal): Promise<SpecServer> {
  const server = await startSpecServer({
    readModelHeader: (_request, call) => streamResponse(call, produce, until ? { until } : {}),
  });
  closers.push(() => server.close());
  return server;
}

function clientOf(address: string) {
  const client = connectNode(address, { clusterToken: undefined });
  closers.push(() => client.close());
  return client;
}

/** Counts what was produced, and notices how its consumer left. */
function endlessSource() {
  const source = { produced: 0, returned: false, signalled: undefined as PangalacticError | undefined };
  const produce: Produce = async function* (signal) {
    signal.addEventListener('abort', () => (source.signalled = signal.reason as PangalacticError));
    try {
      for (;;) {
        yield { data: CHUNK };
        source.produced += 1;
      }
    } finally {
      source.returned = true;
    }
  };
  return { source, produce };
}

describe('a server stream', () => {
  it('delivers large messages in order and ends', async () => {
    const { address } = await serve(async function* () {
      for (let index = 0; index < 200; index += 1) yield { data: Buffer.alloc(64 * 1024 + index, index) };
    });
    let index = 0;
    for await (const { data } of clientOf(address).readModelHeader(FINGERPRINT)) {
      expect(data.length).toBe(64 * 1024 + index);
      expect(data[data.length - 1]).toBe(index);
      index += 1;
    }
    expect(index).toBe(200);
  });

  it('is not produced further ahead of a slow reader than buffers hold', async () => {
    const { source, produce } = endlessSource();
    const { address } = await serve(produce);
    const stream = clientOf(address).readModelHeader(FINGERPRINT);
    await stream.next();
    const ahead = await settled(() => source.produced);
    // 16 objects here, 16 there, and the sockets between: 4 MiB, however long the reader waits.
    expect(ahead).toBeLessThan(64);
    for (let read = 0; read < 100; read += 1) await stream.next();
    expect((await settled(() => source.produced)) - ahead).toBeLessThanOrEqual(101);
  });

  it.each([
    ['before the first message', 0],
    ['after some messages', 3],
  ])('carries an error thrown %s', async (_when, messages) => {
    const { address } = await serve(async function* () {
      for (let index = 0; index < messages; index += 1) yield { data: CHUNK };
      throw new PangalacticError('corrupt_model_file', 'tensor 3 lies outside the file');
    });
    const stream = clientOf(address).readModelHeader(FINGERPRINT);
    await expect(drain(stream)).rejects.toMatchObject({
      code: 'corrupt_model_file',
      message: 'tensor 3 lies outside the file',
    });
    await expect(stream.next()).rejects.toMatchObject({ code: 'corrupt_model_file' });
  });

  it('carries an error of a producer that fails to start', async () => {
    const { address } = await serve(() => {
      throw new TypeError('boom');
    });
    await expect(drain(clientOf(address).readModelHeader(FINGERPRINT))).rejects.toMatchObject({
      code: 'internal_error',
      message: 'boom',
    });
  });

  it.each([
    [
      'leaving the loop',
      async (stream: AsyncIterable<unknown>) => {
        for await (const _message of stream) break;
      },
    ],
    [
      'cancel()',
      async (stream: AsyncIterableIterator<unknown> & { cancel(): void }) => {
        await stream.next();
        stream.cancel();
        await expect(stream.next()).rejects.toMatchObject({ code: 'cancelled' });
      },
    ],
  ])('stops its producer when the client goes by %s, also while the producer waits for room', async (_how, leave) => {
    const { source, produce } = endlessSource();
    const { address } = await serve(produce);
    await leave(clientOf(address).readModelHeader(FINGERPRINT));
    await vi.waitUntil(() => source.returned, { timeout: 10_000 });
    expect(source.signalled).toMatchObject({ code: 'cancelled' });
  });

  it('aborts the signal of a producer that waits for its first message when the client aborts', async () => {
    let signalled = false;
    const { address } = await serve(async function* (signal) {
      await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()));
      signalled = true;
      yield { data: CHUNK };
    });
    const aborter = new AbortController();
    const stream = clientOf(address).readModelHeader(FINGERPRINT, { signal: aborter.signal });
    const next = stream.next();
    setTimeout(() => aborter.abort(), 20);
    await expect(next).rejects.toMatchObject({ code: 'cancelled' });
    await vi.waitUntil(() => signalled, { timeout: 10_000 });
  });

  it('ends at its deadline on both sides', async () => {
    const { source, produce } = endlessSource();
    const { address } = await serve(produce);
    const stream = clientOf(address).readModelHeader(FINGERPRINT, { deadlineMs: 100 });
    await expect(drain(stream)).rejects.toMatchObject({ code: 'deadline_exceeded' });
    await vi.waitUntil(() => source.returned, { timeout: 10_000 });
  });

  it('notices on both sides that the connection was cut, even when nothing can be sent', async () => {
    const { source, produce } = endlessSource();
    const server = await serve(produce);
    const tunnel = await server.openTunnel();
    const stream = clientOf(tunnel.address).readModelHeader(FINGERPRINT);
    await stream.next();
    await settled(() => source.produced);
    tunnel.cut();
    await vi.waitUntil(() => source.returned, { timeout: 10_000 });
    await expect(drain(stream)).rejects.toMatchObject({ code: 'service_unavailable' });
  });

  it('reports a server that is forced to stop as unavailable, not as cancelled', async () => {
    const { produce } = endlessSource();
    const server = await serve(produce);
    const stream = clientOf(server.address).readModelHeader(FINGERPRINT);
    await stream.next();
    server.handle.forceShutdown();
    await expect(drain(stream)).rejects.toMatchObject({ code: 'service_unavailable' });
  });

  it('ends with the reason of its `until`, even when the producer ignores its signal', async () => {
    const closing = new AbortController();
    const { address } = await serve(async function* () {
      yield { data: CHUNK };
      await new Promise(() => undefined);
    }, closing.signal);
    const stream = clientOf(address).readModelHeader(FINGERPRINT);
    await stream.next();
    closing.abort(new PangalacticError('service_unavailable', 'node-1 is shutting down'));
    await expect(stream.next()).rejects.toMatchObject({
      code: 'service_unavailable',
      message: 'node-1 is shutting down',
    });
    await expect(drain(clientOf(address).readModelHeader(FINGERPRINT))).rejects.toMatchObject({
      message: 'node-1 is shutting down',
    });
  });
});

async function drain(stream: AsyncIterable<unknown>): Promise<void> {
  for await (const _message of stream);
}
