import type { ErrorCode, PangalacticError } from '@pangalactic/contracts';

/** In a row, without a new token, although the head had accepted them: such a request may be what kills pipelines. */
const MAX_BROKEN_ATTEMPTS = 3;

/** The pipeline, not the request, is at fault. */
const PIPELINE_FAILURES: ReadonlySet<ErrorCode> = new Set([
  'pipeline_broken',
  'pipeline_not_found',
  'service_unavailable',
  'model_not_ready',
]);

/** A pipeline breaks once, for good: it is of no use any more, whatever the route table still says. */
const FINAL_FAILURES: ReadonlySet<ErrorCode> = new Set(['pipeline_broken', 'pipeline_not_found']);

export interface FailedAttempt {
  readonly pipelineId: string;
  readonly error: PangalacticError;
  /** The head had given the sequence a slot. */
  readonly accepted: boolean;
  /** Of the sequence, earlier attempts included. */
  readonly completionTokens: number;
  /** The client has been promised an answer, by this attempt or an earlier one. */
  readonly begun: boolean;
}

/** What went wrong with a request so far, and whether it is worth another attempt. */
export class AttemptFailures {
  /** Left to others for as long as there is another. */
  readonly failedPipelines = new Set<string>();
  readonly lostPipelines = new Set<string>();
  private brokenAttempts = 0;
  private completionTokens = 0;

  /** @returns whether to try again; a full pipeline is left to others only while there is one that has not refused yet */
  mayRetryAfter(attempt: FailedAttempt, otherPipelines: readonly string[]): boolean {
    const { pipelineId, error, accepted, completionTokens, begun } = attempt;
    this.failedPipelines.add(pipelineId);
    if (error.code === 'queue_full') return begun || otherPipelines.some((other) => !this.failedPipelines.has(other));
    if (!PIPELINE_FAILURES.has(error.code)) return false;
    if (FINAL_FAILURES.has(error.code)) this.lostPipelines.add(pipelineId);
    if (completionTokens > this.completionTokens) this.brokenAttempts = 0;
    this.completionTokens = completionTokens;
    if (accepted) this.brokenAttempts += 1;
    return this.brokenAttempts < MAX_BROKEN_ATTEMPTS;
  }
}
