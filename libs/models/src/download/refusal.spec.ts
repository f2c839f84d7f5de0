import { describe, expect, it } from 'vitest';
import { type Request, refused } from './refusal';

const HUB = 'https://huggingface.co/meta-llama/Llama/resolve/main/model.gguf';
const onHub = (hasToken: boolean): Request => ({ url: new URL(HUB), repository: 'meta-llama/Llama', hasToken });
const elsewhere: Request = { url: new URL('https://example.com/model.gguf?key=secret'), hasToken: false };
const NOW = Date.parse('2026-01-01T00:00:00Z');

function refusal(status: number, request: Request, headers: Record<string, string> = {}, answeredBy = request.url) {
  return refused({ status, header: (name) => headers[name], answeredBy }, request, NOW);
}

describe('refused', () => {
  const gated = { 'x-error-code': 'GatedRepo' };

  it.each<[string, number, Request, Record<string, string>, string]>([
    [
      'gated, without a token',
      401,
      onHub(false),
      gated,
      'meta-llama/Llama is gated, and HF_TOKEN is not set (401): accept its licence at ' +
        'https://huggingface.co/meta-llama/Llama, then set HF_TOKEN to an access token of that account',
    ],
    [
      'gated, with a token',
      403,
      onHub(true),
      gated,
      'meta-llama/Llama is gated, and the account of HF_TOKEN has no access to it (403): accept its licence at ' +
        'https://huggingface.co/meta-llama/Llama, then set HF_TOKEN to an access token of that account',
    ],
    [
      'unknown or private',
      401,
      onHub(false),
      { 'x-error-code': 'RepoNotFound' },
      `${HUB} refuses access (401): meta-llama/Llama does not exist, or it is private or gated: look at ` +
        'https://huggingface.co/meta-llama/Llama and set HF_TOKEN',
    ],
    [
      'a bad token',
      401,
      onHub(true),
      {},
      `${HUB} refuses access (401): meta-llama/Llama does not exist, or HF_TOKEN is not valid for it`,
    ],
    [
      'no such file',
      404,
      onHub(false),
      { 'x-error-code': 'EntryNotFound' },
      'meta-llama/Llama has no file model.gguf (404): see https://huggingface.co/meta-llama/Llama',
    ],
    ['another server', 403, elsewhere, {}, 'https://example.com/model.gguf refuses access (403)'],
    ['nothing there', 404, elsewhere, {}, 'https://example.com/model.gguf does not exist (404)'],
    [
      'a range too far',
      416,
      elsewhere,
      {},
      'https://example.com/model.gguf refuses a range of bytes (416): the file is empty or shorter than announced',
    ],
    ['anything else', 410, elsewhere, {}, 'https://example.com/model.gguf answers 410'],
  ])('says what to do: %s', (_name, status, request, headers, message) => {
    expect(refusal(status, request, headers)).toMatchObject({ message, retryable: false });
  });

  it.each([
    [503, {}, undefined],
    [429, { 'retry-after': '7' }, 7_000],
    [429, { 'retry-after': '86400' }, 120_000],
    [503, { 'retry-after': 'Thu, 01 Jan 2026 00:00:09 GMT' }, 9_000],
    [503, { 'retry-after': 'Thu, 01 Jan 2020 00:00:09 GMT' }, 0],
    [503, { 'retry-after': 'soon' }, undefined],
    [408, {}, undefined],
  ])('%i with %o may be tried again', (status, headers, retryAfterMs) => {
    const error = refusal(status, elsewhere, headers);
    expect({ retryable: error.retryable, retryAfterMs: error.retryAfterMs }).toEqual({ retryable: true, retryAfterMs });
    expect(error.message).toBe(`example.com answers ${status}`);
  });

  it('asks for a new signed address when the old one is refused', () => {
    expect(refusal(403, onHub(false), {}, new URL('https://cdn.example/x?signature=secret'))).toMatchObject({
      retryable: true,
      message: 'cdn.example refuses access (403)',
    });
  });
});
