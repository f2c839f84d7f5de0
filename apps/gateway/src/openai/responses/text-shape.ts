import { chunkEnvelope, envelope, usageObject } from './completion-shape';
import type { CompletionShape } from './completion-shape';

/** POST /v1/completions: chunks and whole answers are objects of the same kind. */
export const TEXT_SHAPE: CompletionShape = {
  idPrefix: 'cmpl',
  opening: () => undefined,
  textChunk: (header, text) => chunkEnvelope(header, 'text_completion', [choice(text, null)]),
  finishChunk: (header, reason) => chunkEnvelope(header, 'text_completion', [choice('', reason)]),
  usageChunk: (header, usage) => ({ ...envelope(header, 'text_completion', []), usage: usageObject(usage) }),
  whole: (header, { text, reason, usage }) => ({
    ...envelope(header, 'text_completion', [choice(text, reason)]),
    usage: usageObject(usage),
  }),
};

function choice(text: string, finishReason: string | null): object {
  return { index: 0, text, logprobs: null, finish_reason: finishReason };
}
