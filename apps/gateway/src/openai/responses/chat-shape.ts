import type { FinishReasonName } from '../../generation/generation-event';
import type { ScoredToken, TokenLikelihood } from '../../generation/scored-tokens';
import { chunkEnvelope, envelope, usageObject } from './completion-shape';
import type { CompletionShape, ResponseHeader } from './completion-shape';

export const CHAT_SHAPE: CompletionShape = {
  idPrefix: 'chatcmpl',
  opening: (header, index) => chunk(header, { index, delta: { role: 'assistant', content: '' } }),
  pieceChunk: (header, index, { text, tokens }) =>
    chunk(header, { index, delta: { content: text }, logprobs: logprobs(header, tokens) }),
  finishChunk: (header, index, reason) => chunk(header, { index, delta: {}, finishReason: reason }),
  usageChunk: (header, usage) => ({
    ...envelope(header, 'chat.completion.chunk', []),
    usage: usageObject(usage),
  }),
  whole: (header, choices, usage) => ({
    ...envelope(
      header,
      'chat.completion',
      choices.map(({ text, tokens, reason }, index) => ({
        index,
        message: { role: 'assistant', content: text, refusal: null },
        logprobs: logprobs(header, tokens),
        finish_reason: reason,
      })),
    ),
    usage: usageObject(usage),
  }),
};

interface ChoiceChunk {
  readonly index: number;
  readonly delta: object;
  readonly logprobs?: object | null;
  readonly finishReason?: FinishReasonName | null;
}

function chunk(header: ResponseHeader, { index, delta, logprobs = null, finishReason = null }: ChoiceChunk): object {
  return chunkEnvelope(header, 'chat.completion.chunk', [{ index, delta, logprobs, finish_reason: finishReason }]);
}

function logprobs(header: ResponseHeader, tokens: readonly ScoredToken[]): object | null {
  if (!header.logprobs) return null;
  const content = tokens.map((token) => ({ ...likelihood(token), top_logprobs: token.top.map(likelihood) }));
  return { content, refusal: null };
}

function likelihood({ text, bytes, logprob }: TokenLikelihood): object {
  return { token: text, logprob, bytes };
}
