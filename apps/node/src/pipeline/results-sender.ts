import { PangalacticError, type ResultsResponse, type StepResult } from '@pangalactic/contracts';
import { AsyncQueue } from '../async-queue';
import type { StageOutput, StageSink } from './stage-message';

/** The tail's sink when the head is the same node: results take no detour over the network. */
export class LocalResults implements StageSink {
  constructor(private readonly onResult: (result: StepResult) => void) {}

  async command(): Promise<void> {}

  async output({ step, samples, timings }: StageOutput): Promise<void> {
    this.onResult({ step, samples: [...samples], timings: [...timings] });
  }
}

/** The tail's sink when the head is elsewhere: it dials, and without it nothing is sampled. */
export class RemoteResults implements StageSink {
  private queue: AsyncQueue<ResultsResponse> | undefined;

  /** @param credits steps that the head may have in flight */
  constructor(private readonly credits: number) {}

  /** The stream of the one head that dials. */
  open(): AsyncQueue<ResultsResponse> {
    if (this.queue) throw new PangalacticError('invalid_request', 'the results of this pipeline are read already');
    this.queue = new AsyncQueue();
    this.queue.push({ ready: {} });
    return this.queue;
  }

  async command(): Promise<void> {}

  async output({ step, samples, timings }: StageOutput): Promise<void> {
    if (!this.queue) throw new PangalacticError('invalid_frame', `step ${step} before the head opened the results`);
    if (this.queue.length > this.credits) {
      throw new PangalacticError('invalid_frame', `step ${step} is beyond the ${this.credits} steps allowed in flight`);
    }
    this.queue.push({ result: { step, samples: [...samples], timings: [...timings] } });
  }
}
