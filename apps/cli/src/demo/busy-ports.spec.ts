import { createServer } from 'node:net';
import { freePort } from '@pangalactic/testing';
import { describe, expect, it } from 'vitest';
import { describeBusyPorts } from './busy-ports';

describe('describeBusyPorts', () => {
  it('names each port in use, what it is for and the flags that move it, in one line', async () => {
    const [hub, hubHttp, gateway, grpc, http] = await Promise.all(Array.from({ length: 5 }, freePort));
    const ports = { hub, hubHttp, gateway, nodes: [{ grpc, http }] } as Parameters<typeof describeBusyPorts>[0];
    expect(await describeBusyPorts(ports)).toBeUndefined();

    const servers = [gateway, http].map((port) => createServer().listen(port, '127.0.0.1'));
    await Promise.all(servers.map((server) => new Promise((resolve) => server.once('listening', resolve))));
    expect(await describeBusyPorts(ports)).toBe(
      `ports in use: ${gateway} (gateway), ${http} (node-1); end what listens there or choose other ports with --port, --node-port`,
    );
    for (const server of servers) server.close();
  });
});
