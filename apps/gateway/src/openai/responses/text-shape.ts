import type { ScoredToken, TokenLikelihood } from '../../generation/scored-tokens';
import { chunkEnvelope, envelope, usageObject } from './completion-shape';
import type { CompletionShape } from './completion-shape';

/** POST /v1/completions: chunks and whole answers are objects of the same kind. */
export const TEXT_SHAPE: CompletionShape = {
  idPrefix: 'cmpl',
  opening: () => undefined,
  pieceChunk: (header, index, { text, tokens }) =>
    chunkEnvelope(header, 'text_completion', [
      { index, text, logprobs: header.logprobs ? logprobs(tokens) : null, finish_reason: null },
    ]),
  finishChunk: (header, index, reason) =>
    chunkEnvelope(header, 'text_completion', [{ index, text: '', logprobs: null, finish_reason: reason }]),
  usageChunk: (header, usage) => ({ ...envelope(header, 'text_completion', []), usage: usageObject(usage) }),
  whole: (header, choices, usage) => ({
    ...envelope(
      header,
      'text_completion',
      choices.map(({ text, tokens, reason }, index) => ({
        ...{ index, text, logprobs: header.logprobs ? logprobs(tokens) : null, finish_reason: reason },
      })),
    ),
    usage: usageObject(usage),
  }),
};

/** The columns of OpenAI's legacy format. */
function logprobs(tokens: readonly ScoredToken[]): object {
  return {
    tokens: tokens.map(({ text }) => text),
    token_logprobs: tokens.map(({ logprob }) => logprob),
    top_logprobs: tokens.map(byText),
    text_offset: tokens.map(({ offset }) => offset),
  };
}

/** The chosen token is always among them. Of tokens with the same text, such as parts of characters, the likelier counts. */
function byText(token: ScoredToken): Record<string, number> {
  const logprobByText = new Map<string, number>();
  for (const { text, logprob } of [...token.top, token] satisfies TokenLikelihood[]) {
    if (!logprobByText.has(text)) logprobByText.set(text, logprob);
  }
  return Object.fromEntries(logprobByText);
}
