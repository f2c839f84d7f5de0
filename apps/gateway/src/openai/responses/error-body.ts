import type { LoadingDetails, PangalacticError } from '@pangalactic/contracts';

const DEFAULT_RETRY_AFTER_SECONDS = 1;

/** What went wrong inside is for the log only. */
const DEFECT_MESSAGE = 'The server had an error while processing the request.';

export function errorBody(error: PangalacticError): object {
  const message = error.code === 'internal_error' ? DEFECT_MESSAGE : error.message;
  const { code, param = null, loading } = error;
  return { error: { message, type: error.row.openai, param, code, ...(loading && { loading: loadingBody(loading) }) } };
}

/** Beside OpenAI's fields, for clients that want to show why they wait. */
function loadingBody({ state, progress, etaSeconds }: LoadingDetails): object {
  const eta = etaSeconds === undefined ? null : Math.ceil(etaSeconds);
  return { state, progress: Number(progress.toFixed(2)), eta_seconds: eta };
}

/** Whole seconds for Retry-After; undefined when trying again would not help. */
export function retryAfter(error: PangalacticError): number | undefined {
  const seconds = error.retryAfterSeconds ?? (error.row.retryable ? DEFAULT_RETRY_AFTER_SECONDS : undefined);
  return seconds === undefined ? undefined : Math.max(1, Math.ceil(seconds));
}
