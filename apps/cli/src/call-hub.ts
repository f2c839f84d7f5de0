import { formatAddress, loadCliConfig, parseAddress } from '@pangalactic/config';
import { type ErrorCode, PangalacticError } from '@pangalactic/contracts';
import { connectHub, type HubClient } from '@pangalactic/transport';
import { CommandError } from './command-error';

export const HUB_DEADLINE_MS = 5_000;
/** Another hub may be there. */
const UNREACHABLE: ReadonlySet<ErrorCode> = new Set(['service_unavailable', 'deadline_exceeded']);

/**
 * Calls the first hub of the list that can be reached, or the one that leads when it is a standby that knows it.
 * @param hubAddresses host:port, several separated by commas
 * @throws CommandError that names the address
 */
export async function callHub<T>(hubAddresses: string, call: (hub: HubClient) => Promise<T>): Promise<T> {
  const failures: unknown[] = [];
  for (const address of addressesIn(hubAddresses)) {
    try {
      return await callOrRedirect(address, call);
    } catch (error) {
      if (!isUnreachable(error)) throw described(address, error);
      failures.push(described(address, error));
    }
  }
  throw failures.length === 1 ? failures[0] : new CommandError(failures.map(messageOf).join('\n'));
}

function addressesIn(hubAddresses: string): string[] {
  return hubAddresses.split(',').map((text) => {
    const address = parseAddress(text.trim());
    if (!address) throw new CommandError(`--hub-addr ${hubAddresses}: allowed: host:port, several separated by commas`);
    return formatAddress(address);
  });
}

async function callOrRedirect<T>(address: string, call: (hub: HubClient) => Promise<T>): Promise<T> {
  try {
    return await callAt(address, call);
  } catch (error) {
    const leader = error instanceof PangalacticError ? error.redirectTo : undefined;
    if (leader === undefined) throw error;
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
  return new CommandError(
    `hub ${hubAddress} ${isUnreachable(error) ? 'cannot be reached' : 'refused'}: ${error.message}`,
  );
}

function isUnreachable(error: unknown): boolean {
  return error instanceof PangalacticError && UNREACHABLE.has(error.code);
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
