import type { HeadStep } from '@pangalactic/inference';
import { type StepDeadline, type StepLoad, stepLoad } from './step-deadline';

/** A late timer may be our own stall: what arrived meanwhile gets its chance to be read. */
const GRACE_MS = 250;

interface PendingStep {
  readonly step: HeadStep;
  readonly sentAt: number;
  readonly load: StepLoad;
}

/** Watches the oldest step in flight: results come in order, so the others cannot have theirs before. */
export class StepWatchdog {
  private readonly pending: PendingStep[] = [];
  private timer: NodeJS.Timeout | undefined;

  constructor(
    private readonly deadline: StepDeadline,
    private readonly onMissed: (reason: string) => void,
  ) {}

  sent(step: HeadStep): void {
    const load = stepLoad([...this.pending.map((pending) => pending.step), step]);
    this.pending.push({ step, sentAt: performance.now(), load });
    if (this.pending.length === 1) this.arm();
  }

  /** The oldest step has its result. */
  answered(): void {
    const oldest = this.pending.shift();
    if (!oldest) return;
    this.deadline.observe(oldest.load, performance.now() - oldest.sentAt);
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
    const allowedMs = this.deadline.allowedMs(oldest.load);
    const { step, phase, rows, tokenIds } = oldest.step;
    const missed = () =>
      this.onMissed(
        `step ${step} (${phase}, ${rows.length} rows, ${tokenIds.length} tokens) had no result within ${Math.round(allowedMs)} ms`,
      );
    const leftMs = Math.max(0, oldest.sentAt + allowedMs - performance.now());
    this.timer = setTimeout(() => (this.timer = setTimeout(missed, GRACE_MS)), leftMs);
  }
}
