import type { ErrorCode, PangalacticError } from '@pangalactic/contracts';

/** Attempts that broke although the head had accepted them: such a request may be what kills pipelines. */
const MAX_BROKEN_ATTEMPTS = 3;

/** The pipeline, not the request, is at fault. */
const PIPELINE_FAILURES: ReadonlySet<ErrorCode> = new Set([
  'pipeline_broken',
  'pipeline_not_found',
  'service_unavailable',
  'model_not_ready',
]);

export interface FailedAttempt {
  readonly pipelineId: string;
  readonly error: PangalacticError;
  /** The head had given the sequence a slot. */
  readonly accepted: boolean;
}

/** What went wrong with a request so far, and whether it is worth another attempt. */
export class AttemptFailures {
  readonly failedPipelines = new Set<string>();
  private brokenAttempts = 0;

  /** @returns whether to try again; a full pipeline is left to others only while there is one that has not refused yet */
  mayRetryAfter({ pipelineId, error, accepted }: FailedAttempt, otherPipelines: readonly string[]): boolean {
    this.failedPipelines.add(pipelineId);
    if (error.code === 'queue_full') return otherPipelines.some((other) => !this.failedPipelines.has(other));
    if (!PIPELINE_FAILURES.has(error.code)) return false;
    if (accepted) this.brokenAttempts += 1;
    return this.brokenAttempts < MAX_BROKEN_ATTEMPTS;
  }
}
