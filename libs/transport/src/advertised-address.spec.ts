import { createServer, type Server } from 'node:net';
import type { Address } from '@pangalactic/config';
import { freePort } from '@pangalactic/testing';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { advertisedAddress } from './advertised-address';

describe('advertisedAddress', () => {
  let listener: Server;
  let peer: Address;

  beforeEach(async () => {
    peer = { host: '127.0.0.1', port: await freePort() };
    listener = createServer().listen(peer.port, peer.host);
  });
  afterEach(() => void listener.close());

  const everywhere = { host: '0.0.0.0', port: 7200 };
  it.each([
    [
      'what is configured',
      { bindAddress: everywhere, advertiseAddress: { host: 'gpu-7.lan', port: 7000 } },
      'gpu-7.lan:7000',
    ],
    [
      'the bind address of one interface',
      { bindAddress: { host: '10.1.2.3', port: 7200 }, advertiseAddress: undefined },
      '10.1.2.3:7200',
    ],
    ['the interface towards the peer', { bindAddress: everywhere, advertiseAddress: undefined }, '127.0.0.1:7200'],
  ])('is %s', async (_case, served, expected) => {
    expect(await advertisedAddress(served, peer)).toBe(expected);
  });

  it('cannot be derived while the peer is away', async () => {
    const away = { host: '127.0.0.1', port: await freePort() };
    const served = { bindAddress: everywhere, advertiseAddress: undefined };
    await expect(advertisedAddress(served, away)).rejects.toThrow(/ECONNREFUSED/);
  });
});
