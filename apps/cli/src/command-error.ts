/** A failure that the user can understand from its message alone: it is printed as one line, without a stack. */
export class CommandError extends Error {
  override readonly name = 'CommandError';
}

/** Prints one line to stderr and makes the process end with exit code 1. */
export function reportFailure(program: string, error: unknown): void {
  process.exitCode = 1;
  const unexpected = !(error instanceof CommandError) && error instanceof Error;
  const text = unexpected ? (error.stack ?? error.message) : error instanceof Error ? error.message : String(error);
  process.stderr.write(`${program}: ${text}\n`);
}
