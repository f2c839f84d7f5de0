import { once } from 'node:events';
import { connect } from 'node:net';
import { type Address, formatAddress, isWildcard, type NodeConfig } from '@pangalactic/config';

const CONNECT_TIMEOUT_MS = 5_000;

/**
 * The address at which others reach this node: as configured, or the bind address, or, bound to every interface, the
 * interface from which the hub is reached.
 */
export async function advertisedAddress(config: NodeConfig): Promise<string> {
  const { advertiseAddress, bindAddress, hubAddress } = config;
  if (advertiseAddress) return formatAddress(advertiseAddress);
  if (!isWildcard(bindAddress)) return formatAddress(bindAddress);
  return formatAddress({ host: await localHostTowards(hubAddress), port: bindAddress.port });
}

async function localHostTowards({ host, port }: Address): Promise<string> {
  const socket = connect({ host, port, timeout: CONNECT_TIMEOUT_MS });
  socket.once('timeout', () => socket.destroy(new Error(`no connection to the hub within ${CONNECT_TIMEOUT_MS} ms`)));
  try {
    await once(socket, 'connect');
    // An IPv4 address of a dual-stack socket.
    return (socket.localAddress ?? host).replace(/^::ffff:/, '');
  } finally {
    socket.destroy();
  }
}
