import { PangalacticError } from '@pangalactic/contracts';

/** Covers the round trip to a head that has a free place, however short the queue timeout is. */
const MIN_WAIT_MS = 1_000;

/**
 * How long a request may wait for a route and a place on it. The signal also follows the client, and goes on doing so
 * once the place is granted.
 */
export class Admission {
  private readonly controller = new AbortController();
  private readonly timer: NodeJS.Timeout;
  private readonly clientGone = () => this.controller.abort(this.client.reason);
  private isGranted = false;

  constructor(
    private readonly client: AbortSignal,
    queueTimeoutMs: number,
    modelId: string,
  ) {
    const waitMs = Math.max(queueTimeoutMs, MIN_WAIT_MS);
    this.timer = setTimeout(() => {
      const message = `No pipeline of the model '${modelId}' had a free place within ${waitMs / 1000} s.`;
      this.controller.abort(new PangalacticError('model_not_ready', message, { param: 'model' }));
    }, waitMs);
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
    clearTimeout(this.timer);
  }

  close(): void {
    clearTimeout(this.timer);
    this.client.removeEventListener('abort', this.clientGone);
  }
}
