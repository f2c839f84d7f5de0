/** Status codes of gRPC (https://grpc.io/docs/guides/status-codes/) that the catalogue uses. */
export enum GrpcStatus {
  CANCELLED = 1,
  UNKNOWN = 2,
  INVALID_ARGUMENT = 3,
  DEADLINE_EXCEEDED = 4,
  NOT_FOUND = 5,
  ALREADY_EXISTS = 6,
  RESOURCE_EXHAUSTED = 8,
  FAILED_PRECONDITION = 9,
  ABORTED = 10,
  INTERNAL = 13,
  UNAVAILABLE = 14,
  DATA_LOSS = 15,
  UNAUTHENTICATED = 16,
}

/** One row per failure a caller can see; docs/errors.md is checked against it. */
interface CatalogueRow {
  readonly grpc: GrpcStatus;
  readonly http: number;
  /** `type` of the OpenAI error object. */
  readonly openai: string;
  /** The same call may succeed later without a change. */
  readonly retryable?: true;
}

export const ERROR_CATALOGUE = {
  invalid_request: { grpc: GrpcStatus.INVALID_ARGUMENT, http: 400, openai: 'invalid_request_error' },
  unsupported_parameter: { grpc: GrpcStatus.INVALID_ARGUMENT, http: 400, openai: 'invalid_request_error' },
  context_length_exceeded: { grpc: GrpcStatus.INVALID_ARGUMENT, http: 400, openai: 'invalid_request_error' },
  invalid_api_key: { grpc: GrpcStatus.UNAUTHENTICATED, http: 401, openai: 'authentication_error' },
  invalid_cluster_token: { grpc: GrpcStatus.UNAUTHENTICATED, http: 401, openai: 'authentication_error' },
  not_found: { grpc: GrpcStatus.NOT_FOUND, http: 404, openai: 'invalid_request_error' },
  model_not_found: { grpc: GrpcStatus.NOT_FOUND, http: 404, openai: 'invalid_request_error' },
  payload_too_large: { grpc: GrpcStatus.INVALID_ARGUMENT, http: 413, openai: 'invalid_request_error' },
  unsupported_media_type: { grpc: GrpcStatus.INVALID_ARGUMENT, http: 415, openai: 'invalid_request_error' },
  rate_limit_exceeded: { grpc: GrpcStatus.RESOURCE_EXHAUSTED, http: 429, openai: 'rate_limit_error', retryable: true },
  cancelled: { grpc: GrpcStatus.CANCELLED, http: 499, openai: 'invalid_request_error' },
  internal_error: { grpc: GrpcStatus.INTERNAL, http: 500, openai: 'server_error' },
  model_not_ready: { grpc: GrpcStatus.UNAVAILABLE, http: 503, openai: 'server_error', retryable: true },
  queue_full: { grpc: GrpcStatus.RESOURCE_EXHAUSTED, http: 503, openai: 'server_error', retryable: true },
  service_unavailable: { grpc: GrpcStatus.UNAVAILABLE, http: 503, openai: 'server_error', retryable: true },
  pipeline_broken: { grpc: GrpcStatus.UNAVAILABLE, http: 503, openai: 'server_error', retryable: true },
  deadline_exceeded: { grpc: GrpcStatus.DEADLINE_EXCEEDED, http: 504, openai: 'server_error', retryable: true },

  download_failed: { grpc: GrpcStatus.FAILED_PRECONDITION, http: 500, openai: 'server_error' },
  corrupt_model_file: { grpc: GrpcStatus.FAILED_PRECONDITION, http: 500, openai: 'server_error' },
  unsupported_architecture: { grpc: GrpcStatus.FAILED_PRECONDITION, http: 500, openai: 'server_error' },
  unsupported_tensor_type: { grpc: GrpcStatus.FAILED_PRECONDITION, http: 500, openai: 'server_error' },
  unsupported_tokenizer: { grpc: GrpcStatus.FAILED_PRECONDITION, http: 500, openai: 'server_error' },
  unsupported_compute_type: { grpc: GrpcStatus.FAILED_PRECONDITION, http: 500, openai: 'server_error' },
  pipeline_not_found: { grpc: GrpcStatus.NOT_FOUND, http: 503, openai: 'server_error', retryable: true },
  kv_gap: { grpc: GrpcStatus.INTERNAL, http: 500, openai: 'server_error' },
  invalid_frame: { grpc: GrpcStatus.INVALID_ARGUMENT, http: 500, openai: 'server_error' },
  stale_term: { grpc: GrpcStatus.FAILED_PRECONDITION, http: 500, openai: 'server_error' },
  node_id_taken: { grpc: GrpcStatus.ALREADY_EXISTS, http: 409, openai: 'invalid_request_error' },
  not_leader: { grpc: GrpcStatus.UNAVAILABLE, http: 503, openai: 'server_error', retryable: true },
  state_conflict: { grpc: GrpcStatus.ABORTED, http: 409, openai: 'server_error' },
  state_unavailable: { grpc: GrpcStatus.UNAVAILABLE, http: 503, openai: 'server_error', retryable: true },
  state_outcome_unknown: { grpc: GrpcStatus.UNKNOWN, http: 503, openai: 'server_error', retryable: true },
  state_compacted: { grpc: GrpcStatus.ABORTED, http: 409, openai: 'server_error' },
  corrupt_state: { grpc: GrpcStatus.DATA_LOSS, http: 500, openai: 'server_error' },
} as const satisfies Record<string, CatalogueRow>;

export type ErrorCode = keyof typeof ERROR_CATALOGUE;

/** How far the load of a model is that the caller needs. */
export interface LoadingDetails {
  /** As in ModelView. */
  readonly state: string;
  /** 0 to 1. */
  readonly progress: number;
  /** Undefined when nobody can tell. */
  readonly etaSeconds: number | undefined;
}

export interface ErrorDetails {
  /** The request field at fault, as in OpenAI's `param`. */
  readonly param?: string;
  readonly retryAfterSeconds?: number;
  /** Address of the peer to ask instead. */
  readonly redirectTo?: string;
  /** Stays in the process: it is told to clients, not from peer to peer. */
  readonly loading?: LoadingDetails | undefined;
  readonly cause?: unknown;
}

/** The only error class that crosses a module boundary on purpose. Its message is meant for the caller to read. */
export class PangalacticError extends Error {
  override readonly name = 'PangalacticError';
  readonly param: string | undefined;
  readonly retryAfterSeconds: number | undefined;
  readonly redirectTo: string | undefined;
  readonly loading: LoadingDetails | undefined;

  constructor(
    readonly code: ErrorCode,
    message: string,
    details: ErrorDetails = {},
  ) {
    super(message, { cause: details.cause });
    this.param = details.param;
    this.retryAfterSeconds = details.retryAfterSeconds;
    this.redirectTo = details.redirectTo;
    this.loading = details.loading;
  }

  get row(): CatalogueRow {
    return ERROR_CATALOGUE[this.code];
  }
}

export function isErrorCode(value: unknown): value is ErrorCode {
  return typeof value === 'string' && Object.hasOwn(ERROR_CATALOGUE, value);
}

/** Anything that was thrown, as a PangalacticError: unknown errors become `internal_error` with the original as cause. */
export function toPangalacticError(error: unknown): PangalacticError {
  if (error instanceof PangalacticError) return error;
  return new PangalacticError('internal_error', error instanceof Error ? error.message : String(error), {
    cause: error,
  });
}
