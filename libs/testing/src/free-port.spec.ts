import { createServer } from 'node:net';
import { describe, expect, it } from 'vitest';
import { canListen, freePort } from './free-port';

describe('freePort', () => {
  it('never hands out the same port twice in a row, and each can be listened on', async () => {
    const ports = [];
    for (let count = 0; count < 20; count += 1) ports.push(await freePort());
    expect(new Set(ports).size).toBe(20);
    expect(await Promise.all(ports.map((port) => canListen(port)))).toEqual(ports.map(() => true));
  });

  it('sees that a port is taken, and free again', async () => {
    const port = await freePort();
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
    expect(await canListen(port)).toBe(false);
    await new Promise((resolve) => server.close(resolve));
    expect(await canListen(port)).toBe(true);
  });
});
