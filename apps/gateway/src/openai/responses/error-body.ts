import type { PangalacticError } from '@pangalactic/contracts';

const DEFAULT_RETRY_AFTER_SECONDS = 1;

/** What went wrong inside is for the log only. */
const DEFECT_MESSAGE = 'The server had an error while processing the request.';

export function errorBody(error: PangalacticError): object {
  const message = error.code === 'internal_error' ? DEFECT_MESSAGE : error.message;
  return { error: { message, type: error.row.openai, param: error.param ?? null, code: error.code } };
}

/** Whole seconds for Retry-After; undefined when trying again would not help. */
export function retryAfter(error: PangalacticError): number | undefined {
  const seconds = error.retryAfterSeconds ?? (error.row.retryable ? DEFAULT_RETRY_AFTER_SECONDS : undefined);
  return seconds === undefined ? undefined : Math.max(1, Math.ceil(seconds));
}
