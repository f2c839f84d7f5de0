import { formatAddress, loadCliConfig, parseAddress } from '@pangalactic/config';
import { PangalacticError, type ExplainPlanResponse, type GetClusterResponse } from '@pangalactic/contracts';
import { connectHub, type HubClient } from '@pangalactic/transport';
import { CommandError } from '../command-error';

const DEADLINE_MS = 5_000;

/** @throws CommandError that names the address */
export function readCluster(hubAddress: string): Promise<GetClusterResponse> {
  return ask(hubAddress, (hub) => hub.getCluster({}, { deadlineMs: DEADLINE_MS }));
}

/** @throws CommandError that names the address */
export function readPlan(hubAddress: string): Promise<ExplainPlanResponse> {
  return ask(hubAddress, (hub) => hub.explainPlan({}, { deadlineMs: DEADLINE_MS }));
}

async function ask<Answer>(hubAddress: string, question: (hub: HubClient) => Promise<Answer>): Promise<Answer> {
  const address = parseAddress(hubAddress);
  if (!address) throw new CommandError(`--hub-addr ${hubAddress}: allowed: host:port`);
  const hub = connectHub(formatAddress(address), loadCliConfig());
  try {
    return await question(hub);
  } catch (error) {
    throw error instanceof PangalacticError ? new CommandError(describe(hubAddress, error)) : error;
  } finally {
    hub.close();
  }
}

function describe(hubAddress: string, { code, message }: PangalacticError): string {
  const unreachable = code === 'service_unavailable' || code === 'deadline_exceeded';
  return `hub ${hubAddress} ${unreachable ? 'cannot be reached' : 'refused'}: ${message}`;
}
