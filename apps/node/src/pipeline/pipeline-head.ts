import type { PangalacticError, StepResult, TokenLogprobs } from '@pangalactic/contracts';
import {
  type BatchScheduler,
  type HeadMessage,
  MicroBatches,
  type SequenceEvent,
  type SequenceId,
  type SequenceRequest,
} from '@pangalactic/inference';
import { PipelineProfile, type StepProfile } from './pipeline-profile';
import type { StageMessage } from './stage-message';
import type { StageRunner } from './stage-runner';
import type { StepWatchdog } from './step-watchdog';

/** Hears what becomes of a sequence: accepted at most once, then tokens, then finished or failed. */
export interface SequenceListener {
  /** @param cachedTokens of its prompt, which need not be computed */
  accepted(cachedTokens: number): void;
  token(index: number, id: number, logprobs: TokenLogprobs | undefined): void;
  finished(reason: 'stop' | 'length', completionTokens: number): void;
  failed(error: PangalacticError): void;
}

export interface HeadObserver {
  onProfile(profile: StepProfile): void;
  /** The stage refused a message, or a result cannot be right. */
  onFailure(error: unknown): void;
}

/** The head of a pipeline: it owns the sequences, feeds their steps into its own stage and hands out the results. */
export class PipelineHead {
  private readonly listeners = new Map<SequenceId, SequenceListener>();
  private readonly profile = new PipelineProfile();
  private readonly microBatches: MicroBatches;
  private feeding = false;
  private lastEndedAt = performance.now();

  constructor(
    readonly scheduler: BatchScheduler,
    private readonly runner: StageRunner,
    private readonly watchdog: StepWatchdog,
    private readonly observer: HeadObserver,
  ) {
    this.microBatches = new MicroBatches(scheduler.stages);
  }

  /** Milliseconds since its last sequence ended, or since it was made; 0 while it has one. */
  get idleMs(): number {
    return this.listeners.size > 0 ? 0 : performance.now() - this.lastEndedAt;
  }

  /** @throws PangalacticError `queue_full`, `pipeline_broken` */
  submit(request: SequenceRequest, listener: SequenceListener): SequenceId {
    const id = this.scheduler.submit(request);
    this.listeners.set(id, listener);
    this.feed();
    return id;
  }

  cancel(id: SequenceId): void {
    this.forget(id);
    this.scheduler.cancel(id);
    this.feed();
  }

  park(id: SequenceId): void {
    this.scheduler.park(id);
  }

  unpark(id: SequenceId): void {
    this.scheduler.unpark(id);
    this.feed();
  }

  /** Never waits: results are read even while a write into the pipeline blocks. The next step comes before all else. */
  onResult(result: StepResult): void {
    try {
      const answeredAt = performance.now();
      const events = this.scheduler.onResult(result);
      const profile = this.profile.answered(result.timings, answeredAt);
      this.watchdog.answered();
      this.feed();
      for (const event of events) this.tell(event);
      this.observe(profile);
    } catch (error) {
      this.observer.onFailure(error);
    }
  }

  /** Ends every sequence. */
  fail(error: PangalacticError): void {
    this.watchdog.stop();
    for (const id of this.scheduler.fail()) this.listeners.get(id)?.failed(error);
    this.listeners.clear();
  }

  private forget(id: SequenceId): void {
    if (this.listeners.delete(id)) this.lastEndedAt = performance.now();
  }

  private observe(profile: StepProfile): void {
    this.observer.onProfile(profile);
    if (profile.phase !== 'decode') return;
    this.microBatches.observe(profile);
    this.scheduler.microBatches = this.microBatches.count;
  }

  private feed(): void {
    if (!this.feeding) this.feedAll().catch((error: unknown) => this.observer.onFailure(error));
  }

  private async feedAll(): Promise<void> {
    // Cleared in the very turn in which there was nothing left: whoever calls feed after that starts anew.
    this.feeding = true;
    try {
      for (let message = this.scheduler.next(); message; message = this.scheduler.next()) {
        if (message.kind === 'step') {
          this.watchdog.sent(message);
          this.profile.sent(message.phase, performance.now());
        }
        if (message.kind === 'start') this.listeners.get(message.sequenceId)?.accepted(message.cachedTokens);
        await this.runner.push(toStageMessage(message));
      }
    } finally {
      this.feeding = false;
    }
  }

  private tell(event: SequenceEvent): void {
    const listener = this.listeners.get(event.sequenceId);
    if (event.kind === 'token') {
      listener?.token(event.index, event.id, event.logprobs);
    } else {
      this.forget(event.sequenceId);
      listener?.finished(event.reason, event.completionTokens);
    }
  }
}

function toStageMessage(message: HeadMessage): StageMessage {
  switch (message.kind) {
    case 'start':
      return { kind: 'command', command: { kind: 'start', ...message.start } };
    case 'copy':
    case 'release':
      return { kind: 'command', command: message };
    case 'step':
      return {
        ...{ kind: 'step', step: message.step, arrivedAt: performance.now(), timings: [] },
        input: { rows: message.rows, tokenIds: message.tokenIds },
      };
  }
}
