import { chunkEnvelope, envelope, usageObject } from './completion-shape';
import type { CompletionShape, ResponseHeader } from './completion-shape';

export const CHAT_SHAPE: CompletionShape = {
  idPrefix: 'chatcmpl',
  opening: (header) => chunk(header, { role: 'assistant', content: '' }, null),
  textChunk: (header, text) => chunk(header, { content: text }, null),
  finishChunk: (header, reason) => chunk(header, {}, reason),
  usageChunk: (header, usage) => ({
    ...envelope(header, 'chat.completion.chunk', []),
    usage: usageObject(usage),
  }),
  whole: (header, { text, reason, usage }) => ({
    ...envelope(header, 'chat.completion', [
      {
        index: 0,
        message: { role: 'assistant', content: text, refusal: null },
        logprobs: null,
        finish_reason: reason,
      },
    ]),
    usage: usageObject(usage),
  }),
};

function chunk(header: ResponseHeader, delta: object, finishReason: string | null): object {
  return chunkEnvelope(header, 'chat.completion.chunk', [
    { index: 0, delta, logprobs: null, finish_reason: finishReason },
  ]);
}
