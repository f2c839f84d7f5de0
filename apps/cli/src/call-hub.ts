import { formatAddress, loadCliConfig, parseAddress } from '@pangalactic/config';
import { type ErrorCode, PangalacticError } from '@pangalactic/contracts';
import { ASK_ANOTHER_HUB, connectHub, type HubClient } from '@pangalactic/transport';
import { CommandError } from './command-error';

export const HUB_DEADLINE_MS = 5_000;
const UNREACHABLE: ReadonlySet<ErrorCode> = new Set(['service_unavailable', 'deadline_exceeded']);

/**
 * Calls the first hub of the list that can answer, or the one that leads when it is a standby that knows it.
 * @param hubAddresses host:port, several separated by commas
 * @throws CommandError that names the address, or each of several
 */
export async function callHub<T>(hubAddresses: string, call: (hub: HubClient) => Promise<T>): Promise<T> {
  const failures: CommandError[] = [];
  for (const address of addressesIn(hubAddresses)) {
    try {
      return await callOrRedirect(address, call);
    } catch (error) {
      if (!(error instanceof HubFailure)) throw error;
      const failure = described(error);
      if (!ASK_ANOTHER_HUB.has(error.cause.code)) throw failure;
      failures.push(failure);
    }
  }
  throw new CommandError(failures.map(({ message }) => message).join('\n'));
}

/** What a hub answered, or that it did not. */
class HubFailure extends Error {
  constructor(
    readonly address: string,
    override readonly cause: PangalacticError,
  ) {
    super(cause.message);
  }
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
    const leader = error instanceof HubFailure ? error.cause.redirectTo : undefined;
    if (leader === undefined) throw error;
    return callAt(leader, call);
  }
}

async function callAt<T>(address: string, call: (hub: HubClient) => Promise<T>): Promise<T> {
  const hub = connectHub(address, loadCliConfig());
  try {
    return await call(hub);
  } catch (error) {
    throw error instanceof PangalacticError ? new HubFailure(address, error) : error;
  } finally {
    hub.close();
  }
}

function described({ address, cause }: HubFailure): CommandError {
  const what = UNREACHABLE.has(cause.code) ? 'cannot be reached' : 'refused';
  return new CommandError(`hub ${address} ${what}: ${cause.message}`);
}
