import { PangalacticError } from '@pangalactic/contracts';

const CORRUPT = ['SQLITE_CORRUPT', 'SQLITE_NOTADB'];

/** What SQLite, TypeORM or the file system threw, as the port's error. */
export function stateError(path: string, error: unknown): PangalacticError {
  if (error instanceof PangalacticError) return error;
  const { code, reason } = describe(error);
  if (CORRUPT.some((prefix) => code.startsWith(prefix))) return corruptState(path, reason, error);
  const message = code.startsWith('SQLITE_BUSY') ? 'in use by another process (a second hub?)' : reason;
  return new PangalacticError('state_unavailable', `state file ${path}: ${message}`, { cause: error });
}

export function corruptState(path: string, reason: string, cause?: unknown): PangalacticError {
  return new PangalacticError('corrupt_state', `state file ${path}: ${reason}; it was left as it is`, { cause });
}

function describe(error: unknown): { code: string; reason: string } {
  // TypeORM wraps the driver's error.
  const origin: unknown = error instanceof Error && 'driverError' in error ? error.driverError : error;
  if (!(origin instanceof Error)) return { code: '', reason: String(origin) };
  return { code: 'code' in origin ? String(origin.code) : '', reason: origin.message };
}
