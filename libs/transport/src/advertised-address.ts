import { once } from 'node:events';
import { connect } from 'node:net';
import { type Address, formatAddress, isWildcard } from '@pangalactic/config';

const CONNECT_TIMEOUT_MS = 5_000;

export interface ServedAddress {
  readonly bindAddress: Address;
  readonly advertiseAddress: Address | undefined;
}

/**
 * The address at which others reach this process: as configured, or the bind address, or, bound to every interface, the
 * interface from which that peer is reached.
 */
export async function advertisedAddress(served: ServedAddress, peer: Address): Promise<string> {
  const { advertiseAddress, bindAddress } = served;
  if (advertiseAddress) return formatAddress(advertiseAddress);
  if (!isWildcard(bindAddress)) return formatAddress(bindAddress);
  return formatAddress({ host: await localHostTowards(peer), port: bindAddress.port });
}

async function localHostTowards({ host, port }: Address): Promise<string> {
  const socket = connect({ host, port, timeout: CONNECT_TIMEOUT_MS });
  socket.once('timeout', () =>
    socket.destroy(new Error(`no connection to ${formatAddress({ host, port })} within ${CONNECT_TIMEOUT_MS} ms`)),
  );
  try {
    await once(socket, 'connect');
    // An IPv4 address of a dual-stack socket.
    return (socket.localAddress ?? host).replace(/^::ffff:/, '');
  } finally {
    socket.destroy();
  }
}
