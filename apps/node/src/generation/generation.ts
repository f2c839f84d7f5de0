import { FinishReason, type GenerateResponse, PangalacticError, type TokenLogprobs } from '@pangalactic/contracts';
import type { SequenceId, SequenceRequest } from '@pangalactic/inference';
import { AsyncQueue } from '../async-queue';
import type { PipelineHead, SequenceListener } from '../pipeline/pipeline-head';

export interface ReaderLimits {
  /** Tokens not yet taken by the reader at which its sequence is parked. */
  readonly parkAt: number;
  /** A reader of a parked sequence that takes nothing for this long is cancelled: the slot is of use to others. */
  readonly stallTimeoutMs: number;
}

export const READER_LIMITS = Symbol('ReaderLimits');
/**
 * A gateway stops reading while its client does, and gives that one 120 s: who reads is for the gateway to say, this bound
 * is for gateways that hang. It also sees a slow reader late, each time the transport has room for another half window.
 */
export const DEFAULT_READER_LIMITS: ReaderLimits = { parkAt: 64, stallTimeoutMs: 180_000 };

const FINISH_REASONS = {
  stop: FinishReason.FINISH_REASON_STOP,
  length: FinishReason.FINISH_REASON_LENGTH,
} as const;

/** One sequence on its way from the head to the reader of its call, at the speed of the reader. */
export class Generation implements SequenceListener {
  private readonly undelivered = new AsyncQueue<GenerateResponse>();
  private readonly sequenceId: SequenceId;
  private stallTimer: NodeJS.Timeout | undefined;

  /** @param onStall ends the call, which the reader no longer reads */
  constructor(
    private readonly head: PipelineHead,
    private readonly request: SequenceRequest,
    private readonly limits: ReaderLimits,
    private readonly onStall: (reason: PangalacticError) => void,
  ) {
    this.sequenceId = head.submit(request, this);
  }

  async *responses(): AsyncGenerator<GenerateResponse> {
    for await (const response of this.undelivered) {
      yield response;
      if (!this.stallTimer) continue;
      if (this.undelivered.length <= this.limits.parkAt / 2) this.unpark();
      else this.stallTimer.refresh();
    }
  }

  /** Frees the slot, whatever state the sequence is in. */
  stop(): void {
    clearTimeout(this.stallTimer);
    this.head.cancel(this.sequenceId);
    this.undelivered.end();
  }

  accepted(cachedTokens: number): void {
    this.undelivered.push({ accepted: { promptTokens: this.request.promptIds.length, cachedTokens } });
  }

  token(index: number, id: number, logprobs: TokenLogprobs | undefined): void {
    this.undelivered.push({ token: { index, id, logprobs } });
    if (!this.stallTimer && this.undelivered.length >= this.limits.parkAt) this.park();
  }

  finished(reason: 'stop' | 'length', completionTokens: number): void {
    this.undelivered.push({ finished: { reason: FINISH_REASONS[reason], completionTokens } });
    this.undelivered.end();
  }

  failed(error: PangalacticError): void {
    this.undelivered.fail(error);
  }

  private park(): void {
    this.head.park(this.sequenceId);
    this.stallTimer = setTimeout(() => {
      const { parkAt, stallTimeoutMs } = this.limits;
      const problem = `the reader took none of ${parkAt} tokens or more for ${stallTimeoutMs} ms`;
      this.onStall(new PangalacticError('deadline_exceeded', problem));
    }, this.limits.stallTimeoutMs);
  }

  private unpark(): void {
    clearTimeout(this.stallTimer);
    this.stallTimer = undefined;
    this.head.unpark(this.sequenceId);
  }
}
