import type { StepPhase } from '@pangalactic/inference';
import { Ewma } from './ewma';

export interface StepDeadlineOptions {
  /** No step gets less: a busy machine may not run us for a while. */
  readonly floorMs: number;
  /** Before the first measurement, when weights may still come from the disk. */
  readonly initialMs: number;
  /** Times the expected duration. */
  readonly margin: number;
}

export const STEP_DEADLINE = Symbol('StepDeadlineOptions');
export const DEFAULT_STEP_DEADLINE: StepDeadlineOptions = { floorMs: 5_000, initialMs: 60_000, margin: 10 };

/** How long a step may take before its pipeline counts as broken: learnt from the steps before, scaled with its tokens. */
export class StepDeadline {
  private readonly msPerToken: Readonly<Record<StepPhase, Ewma>> = { prefill: new Ewma(), decode: new Ewma() };

  constructor(private readonly options: StepDeadlineOptions) {}

  observe(phase: StepPhase, tokens: number, elapsedMs: number): void {
    this.msPerToken[phase].add(elapsedMs / tokens);
  }

  allowedMs(phase: StepPhase, tokens: number): number {
    const expected = this.msPerToken[phase].value;
    if (expected === undefined) return this.options.initialMs;
    return Math.max(this.options.floorMs, this.options.margin * expected * tokens);
  }
}
