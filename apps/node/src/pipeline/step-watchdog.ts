import type { HeadStep } from '@pangalactic/inference';
import { StepDeadline } from './step-deadline';

/** A late timer may be our own stall: what arrived meanwhile gets its chance to be read. */
const GRACE_MS = 250;

interface PendingStep {
  readonly step: HeadStep;
  readonly sentAt: number;
}

/** Watches the oldest step in flight; the clock of each starts when it is sent or, behind another, when that is answered. */
export class StepWatchdog {
  private readonly pending: PendingStep[] = [];
  private lastAnswerAt = 0;
  private timer: NodeJS.Timeout | undefined;

  constructor(
    private readonly deadline: StepDeadline,
    private readonly onMissed: (reason: string) => void,
  ) {}

  sent(step: HeadStep): void {
    this.pending.push({ step, sentAt: performance.now() });
    if (this.pending.length === 1) this.arm();
  }

  /** The oldest step has its result. */
  answered(): void {
    const oldest = this.pending.shift();
    if (!oldest) return;
    const now = performance.now();
    const { phase, tokenIds } = oldest.step;
    this.deadline.observe(phase, tokenIds.length, now - Math.max(oldest.sentAt, this.lastAnswerAt));
    this.lastAnswerAt = now;
    this.arm();
  }

  stop(): void {
    this.pending.length = 0;
    clearTimeout(this.timer);
  }

  private arm(): void {
    clearTimeout(this.timer);
    const oldest = this.pending[0];
    if (!oldest) return;
    const { step, phase, rows, tokenIds } = oldest.step;
    const allowedMs = this.deadline.allowedMs(phase, tokenIds.length);
    const missed = () =>
      this.onMissed(
        `step ${step} (${phase}, ${rows.length} rows, ${tokenIds.length} tokens) had no result within ${Math.round(allowedMs)} ms`,
      );
    this.timer = setTimeout(() => (this.timer = setTimeout(missed, GRACE_MS)), allowedMs);
  }
}
