import type { HeadStep } from '@pangalactic/inference';
import { type StepDeadline, type StepLoad, stepLoad } from './step-deadline';

/**
 * How often it looks. Steps are too short for a timer each: setting one is a good part of what a step costs at the head.
 * A step counts as missed when it is late at two looks in a row: one may be our own stall, and what arrived meanwhile gets
 * its chance to be read.
 */
const LOOK_MS = 250;

interface PendingStep {
  readonly step: HeadStep;
  readonly sentAt: number;
  readonly load: StepLoad;
}

/** Watches the oldest step in flight: results come in order, so the others cannot have theirs before. */
export class StepWatchdog {
  private readonly pending: PendingStep[] = [];
  private late: PendingStep | undefined;
  private timer: NodeJS.Timeout | undefined;

  constructor(
    private readonly deadline: StepDeadline,
    private readonly onMissed: (reason: string) => void,
  ) {}

  sent(step: HeadStep): void {
    const load = stepLoad([...this.pending.map((pending) => pending.step), step]);
    this.pending.push({ step, sentAt: performance.now(), load });
    this.timer ??= setInterval(() => this.look(), LOOK_MS);
  }

  /** The oldest step has its result. */
  answered(): void {
    const oldest = this.pending.shift();
    if (oldest) this.deadline.observe(oldest.load, performance.now() - oldest.sentAt);
  }

  stop(): void {
    this.pending.length = 0;
    clearInterval(this.timer);
    this.timer = undefined;
  }

  private look(): void {
    const oldest = this.pending[0];
    if (!oldest) return this.stop();
    const allowedMs = this.deadline.allowedMs(oldest.load);
    if (performance.now() - oldest.sentAt < allowedMs) return;
    if (this.late === oldest) this.miss(oldest, allowedMs);
    this.late = oldest;
  }

  private miss({ step: { step, phase, rows, tokenIds } }: PendingStep, allowedMs: number): void {
    this.stop();
    this.onMissed(
      `step ${step} (${phase}, ${rows.length} rows, ${tokenIds.length} tokens) had no result within ${Math.round(allowedMs)} ms`,
    );
  }
}
