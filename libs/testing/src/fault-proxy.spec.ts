import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { FaultProxy } from './fault-proxy';

describe('FaultProxy', () => {
  let echo: Server;
  let proxy: FaultProxy;

  beforeEach(async () => {
    echo = createServer((socket) => socket.on('error', () => undefined).pipe(socket)).listen(0, '127.0.0.1');
    await once(echo, 'listening');
    proxy = await FaultProxy.start((echo.address() as AddressInfo).port);
  });

  afterEach(async () => {
    await proxy.close();
    echo.close();
    await once(echo, 'close');
  });

  async function open(): Promise<{ socket: Socket; received: () => string }> {
    const socket = connect(proxy.port, '127.0.0.1').setEncoding('utf8');
    let text = '';
    socket.on('error', () => undefined).on('data', (data: string) => (text += data));
    await once(socket, 'connect');
    return { socket, received: () => text };
  }

  it('passes everything on, both ways', async () => {
    const { socket, received } = await open();
    const sent = 'x'.repeat(5_000_000);
    socket.write(sent);
    await expect.poll(() => received().length, { timeout: 10_000 }).toBe(sent.length);
    socket.end();
    await once(socket, 'close');
  });

  it('holds back what comes while stalled, on connections old and new, until it is healed', async () => {
    const before = await open();
    before.socket.write('a');
    await expect.poll(before.received).toBe('a');
    proxy.stall();
    const during = await open();
    before.socket.write('b');
    during.socket.write('c');
    // Longer than an answer over the loopback interface takes.
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect([before.received(), during.received()]).toEqual(['a', '']);
    proxy.heal();
    await expect.poll(() => [before.received(), during.received()]).toEqual(['ab', 'c']);
    before.socket.destroy();
    during.socket.destroy();
  });

  it('lets requests through while answers are stalled', async () => {
    const arrived: string[] = [];
    echo.on('connection', (socket: Socket) => socket.on('data', (data) => arrived.push(data.toString())));
    const { socket, received } = await open();
    proxy.stall('answers');
    socket.write('a');
    await expect.poll(() => arrived).toEqual(['a']);
    expect(received()).toBe('');
    proxy.heal();
    await expect.poll(received).toBe('a');
    socket.destroy();
  });

  it('ends connections when it is cut, and new ones until it is healed', async () => {
    const { socket } = await open();
    proxy.cut();
    await once(socket, 'close');
    const refused = connect(proxy.port, '127.0.0.1').on('error', () => undefined);
    await once(refused, 'close');
    proxy.heal();
    const again = await open();
    again.socket.write('a');
    await expect.poll(again.received).toBe('a');
    again.socket.destroy();
  });
});
