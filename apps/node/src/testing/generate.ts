import { FinishReason, type GenerateRequest, type GenerateResponse } from '@pangalactic/contracts';
import type { CallOptions, ServerStream } from '@pangalactic/transport';
import type { TestNode } from './test-node';

export const GREEDY = { temperature: 0, topP: 1 };

export function generateRequest(overrides: Partial<GenerateRequest> = {}): GenerateRequest {
  return {
    pipelineId: 'p1',
    attemptId: 'attempt-1',
    promptIds: [1, 2, 3, 4, 5],
    emittedIds: [],
    maxTokens: 16,
    sampling: GREEDY,
    seed: 1,
    choiceIndex: 0,
    ...overrides,
  };
}

export function open(
  head: TestNode,
  overrides: Partial<GenerateRequest> = {},
  options?: CallOptions,
): ServerStream<GenerateResponse> {
  return head.client.generate(generateRequest(overrides), options);
}

export interface Completion {
  readonly ids: number[];
  readonly reason: FinishReason;
}

/** Reads a whole generation and checks its form: accepted, tokens with contiguous indexes, finished. */
export async function complete(head: TestNode, overrides: Partial<GenerateRequest> = {}): Promise<Completion> {
  const first = overrides.emittedIds?.length ?? 0;
  const ids: number[] = [];
  let accepted = false;
  for await (const response of open(head, overrides)) {
    if (response.accepted) accepted = true;
    if (response.token) {
      if (!accepted || response.token.index !== first + ids.length) throw new Error('a token out of order');
      ids.push(response.token.id);
    }
    if (response.finished) {
      if (response.finished.completionTokens !== first + ids.length) throw new Error('the count of tokens is wrong');
      return { ids, reason: response.finished.reason };
    }
  }
  throw new Error('the stream ended without finished');
}

/** Reads to the end and returns how much of the prompt was not computed. */
export async function cachedTokens(stream: ServerStream<GenerateResponse>): Promise<number | undefined> {
  let cached: number | undefined;
  for await (const { accepted } of stream) cached ??= accepted?.cachedTokens;
  return cached;
}

/** Reads until a token arrives, so that the sequence is known to run. */
export async function firstToken(stream: ServerStream<GenerateResponse>): Promise<void> {
  for (;;) {
    const next = await stream.next();
    if (next.done) throw new Error('the stream ended before its first token');
    if (next.value.token) return;
  }
}

/** Reads to the end and returns what ended it. */
export async function failure(stream: ServerStream<GenerateResponse>): Promise<unknown> {
  try {
    for (;;) {
      const next = await stream.next();
      if (next.done) return undefined;
    }
  } catch (error) {
    return error;
  }
}
