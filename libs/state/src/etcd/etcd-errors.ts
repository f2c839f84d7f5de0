import { PangalacticError } from '@pangalactic/contracts';
import { isBrokenCircuitError } from 'cockatiel';
import {
  ClientClosedError,
  EtcdAuthenticationFailedError,
  EtcdInvalidAuthTokenError,
  EtcdLeaseInvalidError,
  EtcdPermissionDeniedError,
  EtcdUserNotFoundError,
  GRPCFailedPreconditionError,
  GRPCInvalidArgumentError,
  GRPCResourceExhastedError,
  GRPCUnauthenticatedError,
} from 'etcd3';

/** Refused before anything was proposed to the members. */
const REFUSALS = [
  ClientClosedError,
  EtcdAuthenticationFailedError,
  EtcdInvalidAuthTokenError,
  EtcdLeaseInvalidError,
  EtcdPermissionDeniedError,
  EtcdUserNotFoundError,
  GRPCFailedPreconditionError,
  GRPCInvalidArgumentError,
  GRPCResourceExhastedError,
  GRPCUnauthenticatedError,
];

const ACCESS_REFUSALS = [
  EtcdAuthenticationFailedError,
  EtcdPermissionDeniedError,
  EtcdUserNotFoundError,
  GRPCInvalidArgumentError,
  GRPCUnauthenticatedError,
];

/** Whether a write that failed like this was certainly not applied, and never will be. */
export function isRefusal(error: unknown): boolean {
  if (REFUSALS.some((Refusal) => error instanceof Refusal)) return true;
  // grpc-js: the request never left.
  return error instanceof Error && (isBrokenCircuitError(error) || error.message.includes('No connection established'));
}

/** Trying again is of no use before somebody has changed users or roles. */
export function isAccessRefusal(error: unknown): boolean {
  return ACCESS_REFUSALS.some((Refusal) => error instanceof Refusal);
}

/** What etcd3 threw, as the port's error. */
export function stateError(store: string, error: unknown): PangalacticError {
  if (error instanceof PangalacticError) return error;
  return new PangalacticError('state_unavailable', `${store}: ${reasonOf(error)}`, { cause: error });
}

export function outcomeUnknown(store: string, error: unknown): PangalacticError {
  const message = `${store}: a commit may have been applied: ${reasonOf(error)}`;
  return new PangalacticError('state_outcome_unknown', message, { cause: error });
}

export function corruptState(store: string, reason: string, cause?: unknown): PangalacticError {
  return new PangalacticError('corrupt_state', `${store}: ${reason}; it was left as it is`, { cause });
}

function reasonOf(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return text.replace(/^\w*Error: /, '').replace(/\s+/g, ' ');
}
