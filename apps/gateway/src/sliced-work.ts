import { Injectable } from '@nestjs/common';
import { PangalacticError, toPangalacticError } from '@pangalactic/contracts';
import type { Steps } from '@pangalactic/tokenizer';

/** What all jobs together may take of one turn of the event loop: a token of another request waits no longer. */
const SLICE_MS = 5;
const MAX_JOBS = 1024;

/** Goes on with a job; whether it is over. */
type Job = () => boolean;

/** Does long computations on the event loop without holding it up: a slice in each of its turns, job after job. */
@Injectable()
export class SlicedWork {
  private readonly jobs: Job[] = [];

  /**
   * @param signal ends the job; its reason is thrown
   * @throws PangalacticError `queue_full`, and whatever the steps throw
   */
  run<T>(steps: Steps<T>, signal?: AbortSignal): Promise<T> {
    if (this.jobs.length >= MAX_JOBS) {
      throw new PangalacticError('queue_full', `${MAX_JOBS} prompts are waiting to be tokenised already.`);
    }
    return new Promise((resolve, reject) => {
      this.jobs.push(() => {
        try {
          signal?.throwIfAborted();
          const { done, value } = steps.next();
          if (done) resolve(value);
          return done === true;
        } catch (error) {
          reject(toPangalacticError(error));
          return true;
        }
      });
      if (this.jobs.length === 1) this.scheduleSlice();
    });
  }

  private scheduleSlice(): void {
    setImmediate(() => {
      this.slice();
      if (this.jobs.length > 0) this.scheduleSlice();
    });
  }

  private slice(): void {
    const end = performance.now() + SLICE_MS;
    do {
      const job = this.jobs.shift()!;
      let isOver = job();
      while (!isOver && performance.now() < end) isOver = job();
      if (!isOver) this.jobs.push(job);
    } while (this.jobs.length > 0 && performance.now() < end);
  }
}
