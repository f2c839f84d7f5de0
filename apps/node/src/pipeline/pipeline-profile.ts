import type { StageTiming } from '@pangalactic/contracts';
import type { StepPhase } from '@pangalactic/inference';

/** Where the time of one step went, in milliseconds. */
export interface StepProfile {
  readonly phase: StepPhase;
  /** Of each stage. */
  readonly computeMs: readonly number[];
  /** On all hops and back to the head: everything that is neither computing nor waiting to compute. */
  readonly transferMs: number;
  /** Stages times the time that passed while steps were in flight: what of it no stage computed in is the pipeline bubble. */
  readonly availableMs: number;
}

interface SentStep {
  readonly phase: StepPhase;
  readonly at: number;
}

/** The head's account of its steps in flight. Results come in the order of the steps. */
export class PipelineProfile {
  private readonly inFlight: SentStep[] = [];
  private accountedUntil = 0;

  sent(phase: StepPhase, now: number): void {
    if (this.inFlight.length === 0) this.accountedUntil = now;
    this.inFlight.push({ phase, at: now });
  }

  /** @param timings of all stages */
  answered(timings: readonly StageTiming[], now: number): StepProfile {
    const step = this.inFlight.shift();
    if (!step) throw new Error('a result without a step');
    const atStagesMs = timings.reduce((total, { waitMs, computeMs }) => total + waitMs + computeMs, 0);
    const availableMs = timings.length * (now - this.accountedUntil);
    this.accountedUntil = now;
    return {
      phase: step.phase,
      computeMs: timings.map(({ computeMs }) => computeMs),
      transferMs: Math.max(0, now - step.at - atStagesMs),
      availableMs,
    };
  }
}
