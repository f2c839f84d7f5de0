export interface Usage {
  readonly promptTokens: number;
  readonly completionTokens: number;
  /** Prompt tokens whose KV was reused. */
  readonly cachedTokens: number;
}

/** OpenAI's words. */
export type FinishReasonName = 'stop' | 'length';

export type GenerationEvent =
  /** The sequence has a slot: from here on failures belong into the stream. Exactly once, first. */
  | { readonly kind: 'accepted'; readonly fingerprint: string }
  | { readonly kind: 'text'; readonly text: string }
  /** Exactly once, last. */
  | { readonly kind: 'finished'; readonly reason: FinishReasonName; readonly usage: Usage };

/** A generation that has ended, as one piece. */
export interface CompletedGeneration {
  readonly text: string;
  readonly reason: FinishReasonName;
  readonly usage: Usage;
}
