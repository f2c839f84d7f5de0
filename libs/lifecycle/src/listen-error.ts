import { formatAddress, type Address } from '@pangalactic/config';

const REASONS = {
  EADDRINUSE: 'the address is already in use',
  EADDRNOTAVAIL: 'this machine does not have the address',
  EACCES: 'permission denied',
  ENOTFOUND: 'the host name is unknown',
} as const;

/** A server could not open its port. The message is one line for the operator. */
export class ListenError extends Error {
  override readonly name = 'ListenError';

  constructor(target: { readonly address: Address; readonly variable: string }, cause: unknown) {
    super(`${target.variable}: cannot listen on ${formatAddress(target.address)}: ${reason(cause)}`, { cause });
  }

  static async explain(
    target: { readonly address: Address; readonly variable: string },
    listen: () => Promise<unknown>,
  ) {
    try {
      await listen();
    } catch (error) {
      throw new ListenError(target, error);
    }
  }
}

/** grpc-js puts the error code into a text of its own. */
function reason(cause: unknown): string {
  const text = cause instanceof Error ? cause.message : String(cause);
  const known = Object.entries(REASONS).find(([code]) => text.includes(code));
  return known ? known[1] : text.replace(/\s+/g, ' ');
}
