import { Metadata, status as Status } from '@grpc/grpc-js';
import { isErrorCode, PangalacticError, toPangalacticError, type ErrorCode } from '@pangalactic/contracts';

export const ERROR_CODE_KEY = 'pangalactic-error-code';
export const RETRY_AFTER_KEY = 'pangalactic-retry-after';
const REDIRECT_TO_KEY = 'pangalactic-redirect-to';

/** Status text travels in a header, whose total size peers limit. */
const MAX_DETAILS_LENGTH = 2_000;

/** What grpc-js sends to the caller for anything that was thrown. */
export type ServiceFailure = Error & CallStatus & { readonly metadata: Metadata };

/** Anything that was thrown, as the status of the failing call: the only mapping from errors to gRPC. */
export function toServiceError(thrown: unknown): ServiceFailure {
  const error = toPangalacticError(thrown);
  const metadata = new Metadata();
  metadata.set(ERROR_CODE_KEY, error.code);
  if (error.retryAfterSeconds !== undefined) metadata.set(RETRY_AFTER_KEY, String(error.retryAfterSeconds));
  if (error.redirectTo !== undefined) metadata.set(REDIRECT_TO_KEY, error.redirectTo);
  return Object.assign(new Error(error.message), {
    code: error.row.grpc,
    details: headerSafe(error.message),
    metadata,
  });
}

/** The status of a failed call, as the client sees it. */
export interface CallStatus {
  readonly code: number;
  readonly details: string;
  readonly metadata?: Metadata;
}

/** The error that the peer threw, or the nearest one of the catalogue when the transport itself failed. */
export function fromCallStatus(failure: CallStatus, address: string): PangalacticError {
  const code = failure.metadata?.get(ERROR_CODE_KEY)[0];
  if (isErrorCode(code)) {
    const retryAfter = Number(failure.metadata?.get(RETRY_AFTER_KEY)[0]);
    const redirectTo = failure.metadata?.get(REDIRECT_TO_KEY)[0]?.toString();
    return new PangalacticError(code, failure.details, {
      ...(Number.isFinite(retryAfter) && { retryAfterSeconds: retryAfter }),
      ...(redirectTo !== undefined && { redirectTo }),
    });
  }
  return new PangalacticError(transportErrorCode(failure), `${address}: ${failure.details || Status[failure.code]}`);
}

function transportErrorCode({ code, details }: CallStatus): ErrorCode {
  switch (code as Status) {
    // A peer that is forced to stop resets its calls with CANCELLED; our own cancellations never get here.
    case Status.CANCELLED:
    case Status.UNAVAILABLE:
      return 'service_unavailable';
    case Status.DEADLINE_EXCEEDED:
      return 'deadline_exceeded';
    case Status.RESOURCE_EXHAUSTED:
      return /larger than/i.test(details) ? 'payload_too_large' : 'service_unavailable';
    default:
      return 'internal_error';
  }
}

/** grpc-js passes the text to encodeURI, which throws on half a surrogate pair. */
function headerSafe(message: string): string {
  return Buffer.from(message.slice(0, MAX_DETAILS_LENGTH), 'utf8').toString('utf8');
}
