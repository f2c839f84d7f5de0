import { formatAddress, loadCliConfig, parseAddress } from '@pangalactic/config';
import { PangalacticError } from '@pangalactic/contracts';
import { connectHub, type HubClient } from '@pangalactic/transport';
import { CommandError } from './command-error';

export const HUB_DEADLINE_MS = 5_000;

/**
 * Calls the hub, or the one that leads when it is a standby that knows it.
 * @throws CommandError that names the address
 */
export async function callHub<T>(hubAddress: string, call: (hub: HubClient) => Promise<T>): Promise<T> {
  const address = parseAddress(hubAddress);
  if (!address) throw new CommandError(`--hub-addr ${hubAddress}: allowed: host:port`);
  try {
    return await callAt(formatAddress(address), call);
  } catch (error) {
    const leader = error instanceof PangalacticError ? error.redirectTo : undefined;
    if (leader === undefined) throw described(hubAddress, error);
    return callAt(leader, call).catch((failure: unknown) => {
      throw described(leader, failure);
    });
  }
}

async function callAt<T>(address: string, call: (hub: HubClient) => Promise<T>): Promise<T> {
  const hub = connectHub(address, loadCliConfig());
  try {
    return await call(hub);
  } finally {
    hub.close();
  }
}

function described(hubAddress: string, error: unknown): unknown {
  if (!(error instanceof PangalacticError)) return error;
  const unreachable = error.code === 'service_unavailable' || error.code === 'deadline_exceeded';
  return new CommandError(`hub ${hubAddress} ${unreachable ? 'cannot be reached' : 'refused'}: ${error.message}`);
}
