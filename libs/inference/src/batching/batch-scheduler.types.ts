import type { Row, Sampling, StepResult, TokenLogprobs } from '@pangalactic/contracts';
import type { SequenceStart } from '../inference-provider';

/** Names a sequence within one scheduler; never used twice. */
export type SequenceId = number;

export interface SequenceRequest {
  readonly promptIds: readonly number[];
  /** Completion tokens of earlier attempts: fed after the prompt, not sampled again. */
  readonly emittedIds: readonly number[];
  /** Completion tokens in total, emitted ones included; 0 fills the context. */
  readonly maxTokens: number;
  readonly sampling: Sampling;
  readonly seed: number;
  readonly choiceIndex: number;
}

export type StepPhase = 'prefill' | 'decode';

export interface HeadStep {
  readonly kind: 'step';
  readonly step: number;
  readonly phase: StepPhase;
  readonly rows: Row[];
  /** The ids of all rows, in row order. */
  readonly tokenIds: Uint32Array;
}

/** What the head feeds into its own stage and, through it, into the whole pipeline, in this order. */
export type HeadMessage =
  | {
      readonly kind: 'start';
      readonly sequenceId: SequenceId;
      readonly start: SequenceStart;
      /** Prompt tokens that need not be computed. */
      readonly cachedTokens: number;
    }
  | { readonly kind: 'copy'; readonly fromSlot: number; readonly toSlot: number; readonly count: number }
  | { readonly kind: 'release'; readonly slot: number; readonly generation: number }
  | HeadStep;

export type SequenceEvent =
  | {
      readonly kind: 'token';
      readonly sequenceId: SequenceId;
      readonly index: number;
      readonly id: number;
      /** When the sequence asked for them. */
      readonly logprobs?: TokenLogprobs | undefined;
    }
  | {
      readonly kind: 'finished';
      readonly sequenceId: SequenceId;
      readonly reason: 'stop' | 'length';
      /** Emitted ones included. */
      readonly completionTokens: number;
    };

/** What the scheduler needs of a step's result. */
export type StepSamples = Pick<StepResult, 'step' | 'samples'>;
