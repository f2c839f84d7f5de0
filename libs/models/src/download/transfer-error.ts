/** Why bytes did not come. The message is meant for the user. */
export class TransferError extends Error {
  override readonly name = 'TransferError';
  /** The same request may succeed later. */
  readonly retryable: boolean;
  /** As the server asked. */
  readonly retryAfterMs: number | undefined;

  constructor(
    message: string,
    { retryable, retryAfterMs, cause }: { retryable: boolean; retryAfterMs?: number | undefined; cause?: unknown },
  ) {
    super(message, { cause });
    this.retryable = retryable;
    this.retryAfterMs = retryAfterMs;
  }
}
