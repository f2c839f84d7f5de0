import { PangalacticError } from '@pangalactic/contracts';

/** Covers the round trip to a head that has a free place, however short the queue timeout is. */
const MIN_WAIT_MS = 1_000;

/**
 * How long a request may wait for a route and a place on it. The signal also follows the client, and goes on doing so
 * once the place is granted.
 */
export class Admission {
  private readonly controller = new AbortController();
  private timer: NodeJS.Timeout | undefined;
  private readonly clientGone = () => this.controller.abort(this.client.reason);
  private isGranted = false;

  /** @param places of the request's choices: while there are any, the others' turn comes, however long it takes */
  constructor(
    private readonly client: AbortSignal,
    queueTimeoutMs: number,
    private readonly modelId: string,
    private readonly places: Set<Admission>,
  ) {
    this.wait(Math.max(queueTimeoutMs, MIN_WAIT_MS));
    if (client.aborted) this.clientGone();
    else client.addEventListener('abort', this.clientGone);
  }

  get signal(): AbortSignal {
    return this.controller.signal;
  }

  get granted(): boolean {
    return this.isGranted;
  }

  grant(): void {
    this.isGranted = true;
    this.places.add(this);
    clearTimeout(this.timer);
  }

  close(): void {
    this.places.delete(this);
    clearTimeout(this.timer);
    this.client.removeEventListener('abort', this.clientGone);
  }

  private wait(waitMs: number): void {
    this.timer = setTimeout(() => {
      if (this.places.size > 0) return this.wait(waitMs);
      const message = `No pipeline of the model '${this.modelId}' had a free place within ${waitMs / 1000} s.`;
      this.controller.abort(new PangalacticError('model_not_ready', message, { param: 'model' }));
    }, waitMs);
  }
}
