import { freePort } from '@pangalactic/testing';
import { describe, expect, it } from 'vitest';
import { readCluster } from './read-cluster';

describe('readCluster', () => {
  it('names the address of a hub that cannot be reached', async () => {
    const address = `127.0.0.1:${await freePort()}`;
    await expect(readCluster(address)).rejects.toMatchObject({
      name: 'CommandError',
      message: expect.stringMatching(new RegExp(`^hub ${address} cannot be reached: `)) as string,
    });
  });

  it('names each of several that cannot be reached', async () => {
    const [one, other] = [`127.0.0.1:${await freePort()}`, `127.0.0.1:${await freePort()}`];
    await expect(readCluster(`${one}, ${other}`)).rejects.toMatchObject({
      message: expect.stringMatching(new RegExp(`^hub ${one} cannot .*\nhub ${other} cannot `)) as string,
    });
  });

  it.each(['localhost', 'http://localhost:7100', '', 'a:1,', 'a:1;b:2'])('refuses the address %j', async (address) => {
    await expect(readCluster(address)).rejects.toMatchObject({
      name: 'CommandError',
      message: `--hub-addr ${address}: allowed: host:port, several separated by commas`,
    });
  });
});
