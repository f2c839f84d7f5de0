import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { until } from '../until';
import { FaultProxy } from './fault-proxy';
import type { LinkConditions } from './link-direction';

/** What arrived at one end of a connection. */
class End {
  readonly chunks: Buffer[] = [];
  ended = false;
  private closed = false;

  constructor(readonly socket: Socket) {
    socket.on('data', (chunk) => this.chunks.push(chunk)).on('error', () => undefined);
    socket.on('end', () => (this.ended = true)).on('close', () => (this.closed = true));
  }

  get text(): string {
    return Buffer.concat(this.chunks).toString();
  }

  /** By an orderly end or by a reset. */
  get isOver(): boolean {
    return this.ended || this.closed;
  }

  get bytes(): number {
    return this.chunks.reduce((total, { length }) => total + length, 0);
  }
}

describe('FaultProxy', () => {
  let server: Server;
  let proxy: FaultProxy;
  let clients: Socket[];

  beforeEach(async () => {
    clients = [];
    server = createServer({ allowHalfOpen: true });
    await once(server.listen(0, '127.0.0.1'), 'listening');
  });

  afterEach(() => {
    for (const client of clients) client.destroy();
    proxy.close();
    server.close();
  });

  const eventually = (condition: () => boolean, message: string) =>
    until(condition, { timeoutMs: 10_000, intervalMs: 2, message });
  const open = async (conditions: LinkConditions = {}) => {
    proxy = await FaultProxy.to(`127.0.0.1:${(server.address() as AddressInfo).port}`, conditions);
    return connection();
  };
  const connection = async () => {
    const accepted = once(server, 'connection') as Promise<[Socket]>;
    const near = connect({ port: Number(proxy.address.split(':')[1]), allowHalfOpen: true });
    clients.push(near);
    const [far] = await accepted;
    clients.push(far);
    return { near: new End(near), far: new End(far) };
  };

  it('passes bytes and ends on, each way', async () => {
    const { near, far } = await open();
    near.socket.end('question');
    await eventually(() => far.ended, 'the end of the question');
    expect(far.text).toBe('question');
    far.socket.end('answer');
    await eventually(() => near.ended, 'the end of the answer');
    expect(near.text).toBe('answer');
  });

  it('takes its time for each way', async () => {
    const { near, far } = await open({ delayMs: 40 });
    far.socket.on('data', (chunk) => far.socket.write(chunk));
    const started = performance.now();
    near.socket.write('echo');
    await eventually(() => near.text === 'echo', 'the echo');
    expect(performance.now() - started).toBeGreaterThanOrEqual(79);
  });

  it('lets no more through than its rate, however many connections there are', async () => {
    const first = await open({ bytesPerSecond: 1_000_000 });
    const second = await connection();
    const started = performance.now();
    for (const { near } of [first, second]) near.socket.write(Buffer.alloc(100_000));
    await eventually(() => first.far.bytes + second.far.bytes === 200_000, '200 kB');
    expect(performance.now() - started).toBeGreaterThanOrEqual(199);
  });

  it('stalls one direction alone and loses nothing', async () => {
    const { near, far } = await open();
    proxy.stall('forward');
    near.socket.write('held');
    far.socket.write('not held');
    await eventually(() => near.text === 'not held', 'what goes backward');
    expect(far.bytes).toBe(0);
    near.socket.write(' back');
    proxy.restore('forward');
    await eventually(() => far.text === 'held back', 'what was held back');
  });

  it('makes a sender wait instead of holding whatever it sends', async () => {
    const { near, far } = await open();
    proxy.stall();
    const size = 64 * 1024 * 1024;
    near.socket.write(Buffer.alloc(size));
    await eventually(() => near.socket.bytesWritten > 0, 'a first part');
    far.socket.write('a sign');
    expect(near.socket.writableLength).toBeGreaterThan(0);
    proxy.restore();
    await eventually(() => far.bytes === size, 'everything');
    expect(near.text).toBe('a sign');
  });

  it('holds back what comes on a connection that is opened while it stalls', async () => {
    const { near: before } = await open();
    proxy.stall();
    const { near, far } = await connection();
    near.socket.write('held');
    await eventually(() => near.socket.bytesWritten === 4, 'the bytes to leave');
    far.socket.write('held, too');
    proxy.restore();
    await eventually(() => far.text === 'held' && near.text === 'held, too', 'what was held back');
    expect(before.isOver).toBe(false);
  });

  it('ends all connections at once and takes no more', async () => {
    const { near, far } = await open({ delayMs: 1_000 });
    near.socket.write('under way');
    const { address } = proxy;
    proxy.close();
    await eventually(() => near.isOver && far.isOver, 'the end of both connections');
    expect(far.bytes).toBe(0);
    const late = connect(Number(address.split(':')[1]));
    await expect(once(late, 'connect')).rejects.toMatchObject({ code: 'ECONNREFUSED' });
  });

  it('ends all connections at once and takes new ones', async () => {
    const { near, far } = await open();
    proxy.disconnect();
    await eventually(() => near.isOver && far.isOver, 'the end of both connections');
    const next = await connection();
    next.near.socket.write('again');
    await eventually(() => next.far.text === 'again', 'bytes on a new connection');
  });

  it('ends connections when it is cut, and new ones until it is restored', async () => {
    const { near, far } = await open();
    proxy.cut();
    await eventually(() => near.isOver && far.isOver, 'the end of both connections');
    const refused = new End(connect(Number(proxy.address.split(':')[1])));
    clients.push(refused.socket);
    await eventually(() => refused.isOver, 'the end of the connection');
    proxy.restore();
    const next = await connection();
    next.near.socket.write('again');
    await eventually(() => next.far.text === 'again', 'bytes on a new connection');
  });

  it('leads from one Unix socket to another', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'pangalactic-proxy-'));
    const echo = createServer((socket) => socket.pipe(socket));
    try {
      await once(echo.listen(join(folder, 'echo')), 'listening');
      proxy = await FaultProxy.to(join(folder, 'echo'), {}, join(folder, 'proxy'));
      expect(proxy.address).toBe(join(folder, 'proxy'));
      const near = new End(connect(proxy.address));
      clients.push(near.socket);
      near.socket.end('echo');
      await eventually(() => near.ended, 'the end of the echo');
      expect(near.text).toBe('echo');
    } finally {
      echo.close();
      await rm(folder, { recursive: true, force: true });
    }
  });

  it('ends a connection whose target is not there', async () => {
    proxy = await FaultProxy.to('127.0.0.1:1');
    const near = new End(connect(Number(proxy.address.split(':')[1])));
    clients.push(near.socket);
    await eventually(() => near.isOver, 'the end of the connection');
  });
});
