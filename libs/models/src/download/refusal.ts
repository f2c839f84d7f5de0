import { TransferError } from './transfer-error';

/** An answer that brings no bytes. */
export interface Refusal {
  readonly status: number;
  readonly header: (name: string) => string | undefined;
  /** Who answered: the host of the source, or one that it redirected to. */
  readonly answeredBy: URL;
}

/** What was asked for, as far as messages need it. */
export interface Request {
  readonly url: URL;
  readonly repository?: string | undefined;
  /** Of Hugging Face; with or without a token. */
  readonly hasToken: boolean;
}

const LONGEST_RETRY_AFTER_MS = 120_000;

/**
 * Says what the user can do about it. `X-Error-Code` is Hugging Face's (huggingface_hub, utils/_http.py,
 * hf_raise_for_status).
 */
export function refused(refusal: Refusal, request: Request, now: number): TransferError {
  const { status, header, answeredBy } = refusal;
  const transient = status === 408 || status === 429 || status >= 500;
  if (transient) {
    const retryAfterMs = retryAfter(header('retry-after'), now);
    return new TransferError(`${answeredBy.host} answers ${status}`, { retryable: true, retryAfterMs });
  }
  // A signed address of a content delivery network has expired; asking the source again gives a new one.
  if (answeredBy.origin !== request.url.origin && (status === 401 || status === 403)) {
    return new TransferError(`${answeredBy.host} refuses access (${status})`, { retryable: true });
  }
  return new TransferError(permanent(status, header('x-error-code'), request), { retryable: false });
}

function permanent(status: number, code: string | undefined, { url, repository, hasToken }: Request): string {
  const place = printable(url);
  if (repository !== undefined) {
    const page = printable(new URL(url.href.slice(0, url.href.indexOf('/resolve/'))));
    if (code === 'GatedRepo') {
      const account = hasToken ? 'the account of HF_TOKEN has no access to it' : 'HF_TOKEN is not set';
      return (
        `${repository} is gated, and ${account} (${status}): accept its licence at ${page}, ` +
        'then set HF_TOKEN to an access token of that account'
      );
    }
    if (status === 401 || status === 403 || code === 'RepoNotFound') {
      return hasToken
        ? `${place} refuses access (${status}): ${repository} does not exist, or HF_TOKEN is not valid for it`
        : `${place} refuses access (${status}): ${repository} does not exist, or it is private or gated: look at ${page} and set HF_TOKEN`;
    }
    if (status === 404)
      return `${repository} has no file ${place.slice(place.lastIndexOf('/') + 1)} (404): see ${page}`;
  }
  if (status === 401 || status === 403) return `${place} refuses access (${status})`;
  if (status === 404) return `${place} does not exist (404)`;
  if (status === 416) return `${place} refuses a range of bytes (416): the file is empty or shorter than announced`;
  return `${place} answers ${status}`;
}

/** Without what may be secret: a signature in the query, a password. */
export function printable(url: URL): string {
  return url.origin + url.pathname;
}

/** Seconds or a date (RFC 9110, 10.2.3). */
function retryAfter(value: string | undefined, now: number): number | undefined {
  if (value === undefined) return undefined;
  const ms = /^\d+$/.test(value) ? Number(value) * 1000 : Date.parse(value) - now;
  return Number.isNaN(ms) ? undefined : Math.min(Math.max(ms, 0), LONGEST_RETRY_AFTER_MS);
}
