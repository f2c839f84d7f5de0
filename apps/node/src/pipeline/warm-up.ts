import type { PipelineHead } from './pipeline-head';

/** A real sequence through every stage: one prefill step, one decode step, then its slot is free again. */
export function warmUp(head: PipelineHead, tokenId: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const request = {
      promptIds: [tokenId, tokenId],
      emittedIds: [],
      maxTokens: 2,
      sampling: { temperature: 0, topP: 1 },
      seed: 0,
      choiceIndex: 0,
    };
    head.submit(request, {
      accepted: () => undefined,
      token: () => undefined,
      finished: () => resolve(),
      failed: reject,
    });
  });
}
