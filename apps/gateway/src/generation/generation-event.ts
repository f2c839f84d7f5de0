import type { ScoredToken } from './scored-tokens';

export interface Usage {
  readonly promptTokens: number;
  readonly completionTokens: number;
  /** Prompt tokens whose KV was reused. */
  readonly cachedTokens: number;
}

/** OpenAI's words. */
export type FinishReasonName = 'stop' | 'length';

/** A piece of a completion; either part may be empty. */
export interface CompletionPiece {
  readonly text: string;
  /** Tokens whose text has now been shown in full, when log probabilities were asked for. */
  readonly tokens: readonly ScoredToken[];
}

export type GenerationEvent =
  /** The sequence has a slot: from here on failures belong into the stream. Exactly once, first. */
  | { readonly kind: 'accepted'; readonly fingerprint: string }
  | ({ readonly kind: 'piece' } & CompletionPiece)
  /** Exactly once, last. */
  | { readonly kind: 'finished'; readonly reason: FinishReasonName; readonly usage: Usage };

/** An event of one of the completions that a request asked for. */
export interface ChoiceEvent {
  readonly choiceIndex: number;
  readonly event: GenerationEvent;
}

/** A completion that has ended, as one piece. */
export interface CompletedChoice extends CompletionPiece {
  readonly reason: FinishReasonName;
}
