import type { StageTiming } from '@pangalactic/contracts';

/** Where the time of one step went, in milliseconds. */
export interface StepProfile {
  /** Per hop, the way of the result included: everything that is neither computing nor waiting to compute. */
  readonly hopTransferMs: number;
  /** Stages times the time that passed while steps were in flight. */
  readonly availableMs: number;
  /** The part of it in which stages computed; the rest is the pipeline bubble. */
  readonly computingMs: number;
}

/** The head's account of its steps in flight. Results come in the order of the steps. */
export class PipelineProfile {
  private readonly sentAt: number[] = [];
  private accountedUntil = 0;

  sent(now: number): void {
    if (this.sentAt.length === 0) this.accountedUntil = now;
    this.sentAt.push(now);
  }

  /** @param timings of all stages */
  answered(timings: readonly StageTiming[], now: number): StepProfile {
    const roundTripMs = now - (this.sentAt.shift() ?? now);
    const computingMs = timings.reduce((total, { computeMs }) => total + computeMs, 0);
    const waitingMs = timings.reduce((total, { waitMs }) => total + waitMs, 0);
    const availableMs = timings.length * (now - this.accountedUntil);
    this.accountedUntil = now;
    const transferMs = Math.max(0, roundTripMs - computingMs - waitingMs);
    return { hopTransferMs: transferMs / Math.max(1, timings.length), availableMs, computingMs };
  }
}
