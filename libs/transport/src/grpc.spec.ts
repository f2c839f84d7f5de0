import { once } from 'node:events';
import { createServer as createHttpServer } from 'node:http';
import { createServer, type AddressInfo, type Server } from 'node:net';
import { NestFactory } from '@nestjs/core';
import { Client, credentials, Metadata, status as Status, type ServiceError } from '@grpc/grpc-js';
import { PangalacticError, type GetClusterResponse } from '@pangalactic/contracts';
import { afterEach, describe, expect, it } from 'vitest';
import { MAX_MESSAGE_BYTES } from './channel-options';
import { connectHub, connectNode } from './client';
import type { ClusterToken } from './cluster-token';
import { GrpcServerHandle, grpcServerOptions } from './grpc-server';
import { handleDuplex } from './handle-duplex';
import { isAnswering, isServing } from './health-client';
import { startSpecServer, type Handlers, type SpecServer } from './grpc-server.fixture';
import { streamResponse } from './stream-response';

const CLUSTER: GetClusterResponse = { clusterId: 'c', term: 3, nodes: [], pipelines: [], deployments: [] };
const DEADLINE = { deadlineMs: 5_000 };

const closers: (() => unknown)[] = [];

afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

async function start(handlers: Partial<Handlers>, token?: ClusterToken): Promise<SpecServer> {
  const server = await startSpecServer(handlers, token);
  closers.push(() => server.close());
  return server;
}

function closed<Connection extends { close(): void }>(client: Connection): Connection {
  closers.push(() => client.close());
  return client;
}

const within = (deadlineMs: number, clusterToken?: ClusterToken) => ({ deadlineMs, clusterToken });
const hub = (address: string, clusterToken?: ClusterToken) => closed(connectHub(address, { clusterToken }));
const node = (address: string, clusterToken?: ClusterToken) => closed(connectNode(address, { clusterToken }));

describe('unary calls', () => {
  it('answer', async () => {
    const { address } = await start({ getCluster: () => Promise.resolve(CLUSTER) });
    expect(await hub(address).getCluster({}, DEADLINE)).toStrictEqual(CLUSTER);
  });

  it('fail with the status and code of what the handler throws, also for a client that is not ours', async () => {
    const full = new PangalacticError('queue_full', 'queue is full: 8 of 8', { retryAfterSeconds: 2 });
    const { address } = await start({ getCluster: () => Promise.reject(full) });
    await expect(hub(address).getCluster({}, DEADLINE)).rejects.toMatchObject({
      name: 'PangalacticError',
      code: 'queue_full',
      message: 'queue is full: 8 of 8',
      retryAfterSeconds: 2,
    });
    const failure = await rawUnary(address, '/pangalactic.v1.HubService/GetCluster');
    expect(failure).toMatchObject({ code: Status.RESOURCE_EXHAUSTED, details: 'queue is full: 8 of 8' });
    expect(failure?.metadata.get('pangalactic-error-code')).toEqual(['queue_full']);
    expect(failure?.metadata.get('pangalactic-retry-after')).toEqual(['2']);
  });

  it('turn a defect of the handler into internal_error', async () => {
    const { address } = await start({ getCluster: () => Promise.reject(new TypeError('boom')) });
    await expect(hub(address).getCluster({}, DEADLINE)).rejects.toMatchObject({
      code: 'internal_error',
      message: 'boom',
    });
  });

  it('end at their deadline, and when their signal aborts, with its reason', async () => {
    const { address } = await start({ getCluster: () => new Promise(() => undefined) });
    const client = hub(address);
    await expect(client.getCluster({}, { deadlineMs: 50 })).rejects.toMatchObject({ code: 'deadline_exceeded' });
    const reason = new PangalacticError('stale_term', 'another hub leads');
    const aborter = new AbortController();
    const pending = client.getCluster({}, { ...DEADLINE, signal: aborter.signal });
    setImmediate(() => aborter.abort(reason));
    await expect(pending).rejects.toBe(reason);
    await expect(client.getCluster({}, { ...DEADLINE, signal: AbortSignal.abort() })).rejects.toMatchObject({
      code: 'cancelled',
    });
  });

  it('name the address that cannot be reached', async () => {
    await expect(hub('127.0.0.1:1').getCluster({}, DEADLINE)).rejects.toMatchObject({
      code: 'service_unavailable',
      message: expect.stringContaining('127.0.0.1:1') as string,
    });
  });

  it('end when their client is closed', async () => {
    const { address } = await start({ getCluster: () => new Promise(() => undefined) });
    const client = hub(address);
    const pending = client.getCluster({}, DEADLINE);
    setImmediate(() => client.close());
    await expect(pending).rejects.toMatchObject({
      code: 'cancelled',
      message: expect.stringContaining(address) as string,
    });
  });
});

describe('message size', () => {
  it('is limited alike on both sides, and the refusal says so', async () => {
    const { address } = await start({
      hop: (call) =>
        handleDuplex(call, async (channel) => {
          for await (const _message of channel) await channel.send({ ready: {} });
        }),
    });
    const client = node(address);
    const step = (bytes: number) => ({
      number: 1,
      step: { step: 1, rows: [], hidden: Buffer.alloc(bytes), timings: [] },
    });
    const fits = client.hop();
    await fits.send(step(MAX_MESSAGE_BYTES - 64));
    expect((await fits.next()).value).toMatchObject({ ready: {} });
    const tooLarge = client.hop();
    await tooLarge.send(step(MAX_MESSAGE_BYTES + 1)).catch(() => undefined);
    await expect(tooLarge.next()).rejects.toMatchObject({ code: 'payload_too_large' });
  });
});

describe('the cluster token', () => {
  const handlers = (calls: string[]): Partial<Handlers> => ({
    getCluster: () => {
      calls.push('unary');
      return Promise.resolve(CLUSTER);
    },
    readModelHeader: (_request, call) => {
      calls.push('server stream');
      return streamResponse(call, async function* () {
        yield { data: Buffer.from('header') };
      });
    },
    nodeSession: (call) => {
      calls.push('duplex');
      return handleDuplex(call, async (channel) => {
        await channel.next();
        await channel.send({ registered: { clusterId: 'c', term: 1, heartbeatIntervalMs: 1 } });
      });
    },
  });

  const attempts = (address: string, token?: ClusterToken): (() => Promise<unknown>)[] => [
    () => hub(address, token).getCluster({}, DEADLINE),
    () => node(address, token).readModelHeader({ fingerprint: 'f' }, DEADLINE).next(),
    async () => {
      const session = hub(address, token).nodeSession(DEADLINE);
      await session.send({ heartbeat: { stageTimes: [], links: [] } });
      return session.next();
    },
  ];

  it.each([undefined, 'wrong', 'secret ', 'secretsecret'])(
    'is demanded of every kind of method (given %s)',
    async (token) => {
      const calls: string[] = [];
      const { address } = await start(handlers(calls), 'secret');
      for (const attempt of attempts(address, token)) {
        await expect(attempt()).rejects.toMatchObject({ code: 'invalid_cluster_token' });
      }
      expect(calls).toEqual([]);
    },
  );

  it('opens every kind of method', async () => {
    const calls: string[] = [];
    const { address } = await start(handlers(calls), 'secret');
    for (const attempt of attempts(address, 'secret')) await attempt();
    expect(calls).toEqual(['unary', 'server stream', 'duplex']);
  });

  it('can be replaced without a gap: several are accepted, the first is sent, and a stale one is refused', async () => {
    let served = ['old'];
    let sent = ['old'];
    const { address } = await start(handlers([]), () => served);
    const client = hub(address, () => sent);
    const call = () => client.getCluster({}, DEADLINE);
    await call();
    served = ['old', 'new'];
    await call();
    sent = ['new', 'old'];
    await call();
    served = ['new'];
    await call();
    sent = ['old'];
    await expect(call()).rejects.toMatchObject({ code: 'invalid_cluster_token' });
    served = [];
    await expect(call()).rejects.toMatchObject({ code: 'invalid_cluster_token' });
  });

  it('is demanded of health probes, too', async () => {
    const server = await start({}, 'secret');
    server.handle.setServing(true);
    for (const token of [undefined, 'wrong']) {
      expect(await isServing(server.address, within(5_000, token))).toBe(false);
      // Whatever it says, it is there.
      expect(await isAnswering(server.address, within(5_000, token))).toBe(true);
    }
    expect(await isServing(server.address, within(5_000, 'secret'))).toBe(true);
    server.handle.setServing(false);
    expect(await isServing(server.address, within(5_000, 'secret'))).toBe(false);
  });
});

describe('a process', () => {
  it('does not count as serving when nobody answers, or not in time, or something else', async () => {
    const listening = async (server: Server) => {
      closers.push(() => server.close());
      await once(server.listen(0, '127.0.0.1'), 'listening');
      return `127.0.0.1:${(server.address() as AddressInfo).port}`;
    };
    const silent = await listening(createServer());
    const http = await listening(createHttpServer((_request, response) => response.end('{}')));
    const started = performance.now();
    expect(await isServing(silent, within(200))).toBe(false);
    expect(performance.now() - started).toBeLessThan(5_000);
    expect(await isAnswering(silent, within(200))).toBe(false);
    expect(await isServing('127.0.0.1:1', within(5_000))).toBe(false);
    expect(await isAnswering('127.0.0.1:1', within(5_000))).toBe(false);
    expect(await isServing(http, within(5_000))).toBe(false);
  });
});

describe('a server that cannot bind', () => {
  it('rejects, saying why', async () => {
    const { address } = await start({});
    const settings = { bindAddress: address, services: ['HubService' as const], clusterToken: undefined };
    const app = await NestFactory.createMicroservice(class EmptyModule {}, {
      ...grpcServerOptions(settings, new GrpcServerHandle()),
      logger: false as const,
    });
    await expect(app.listen()).rejects.toThrow(/EADDRINUSE/);
  });
});

/** A client that knows nothing of ours. */
function rawUnary(address: string, path: string): Promise<ServiceError | null> {
  const client = closed(new Client(address, credentials.createInsecure()));
  const bytes = (value: Buffer) => value;
  return new Promise((resolve) => {
    client.makeUnaryRequest(path, bytes, bytes, Buffer.alloc(0), new Metadata(), {}, (error) => resolve(error));
  });
}
