import type { Row, StageTiming } from '@pangalactic/contracts';
import type { SlotCommand, StepInput, StepOutput } from '@pangalactic/inference';

/** What a stage processes, in order: from the hop before it, or at the head from the scheduler. */
export type StageMessage =
  | { readonly kind: 'command'; readonly command: SlotCommand }
  | {
      readonly kind: 'step';
      readonly step: number;
      readonly input: StepInput;
      /** On the clock of `performance.now()`: from then on it waits for the stage, not for the network. */
      readonly arrivedAt: number;
      /** Of the stages before this one. */
      readonly timings: readonly StageTiming[];
    };

export interface StageOutput extends StepOutput {
  readonly step: number;
  readonly rows: readonly Row[];
  /** Of the stages up to and including this one. */
  readonly timings: readonly StageTiming[];
}

/** Where a stage's messages go: to the next stage, or from the tail to the head. Resolves when there is room for more. */
export interface StageSink {
  command(command: SlotCommand): Promise<void>;
  output(output: StageOutput): Promise<void>;
}
