import { PangalacticError, type ModelView } from '@pangalactic/contracts';

/** Covers the round trip to a head that has a free place, however short the queue timeout is. */
const MIN_WAIT_MS = 1_000;
/** How often the wait begins anew for a model that will be loaded before it is over. */
const MAX_EXTENSIONS = 2;

export interface AdmissionOptions {
  readonly modelId: string;
  /** Of the request's choices. */
  readonly places: Set<Admission>;
  readonly waitMs: number;
  /** The completion has begun on a pipeline that is gone. */
  readonly resumes: boolean;
  /** How far the model is, when the request waits for it to be loaded. */
  readonly load: () => ModelView | undefined;
}

/**
 * How long a request may wait for a route and a place on it. The signal also follows the client, and goes on doing so
 * once the place is granted.
 */
export class Admission {
  private readonly controller = new AbortController();
  private timer: NodeJS.Timeout | undefined;
  private readonly clientGone = () => this.controller.abort(this.client.reason);
  private isGranted = false;

  constructor(
    private readonly client: AbortSignal,
    private readonly options: AdmissionOptions,
  ) {
    this.wait(Math.max(options.waitMs, MIN_WAIT_MS));
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
    this.options.places.add(this);
    clearTimeout(this.timer);
  }

  close(): void {
    this.options.places.delete(this);
    clearTimeout(this.timer);
    this.client.removeEventListener('abort', this.clientGone);
  }

  private wait(waitMs: number, extensions = 0): void {
    const { modelId, places, resumes, load } = this.options;
    this.timer = setTimeout(() => {
      // While other choices of the request have places, the turn of this one comes, however long it takes.
      if (places.size > 0 && !resumes) return this.wait(waitMs);
      const etaSeconds = load()?.etaSeconds ?? Infinity;
      if (etaSeconds * 1000 <= waitMs && extensions < MAX_EXTENSIONS) return this.wait(waitMs, extensions + 1);
      const outcome = resumes ? 'could go on with the completion' : 'had a free place';
      const message = `No pipeline of the model '${modelId}' ${outcome} within ${((extensions + 1) * waitMs) / 1000} s.`;
      this.controller.abort(notReady(message, load()));
    }, waitMs);
  }
}

/** Before a load has a pace, and while it has not begun. */
const RETRY_LOAD_SECONDS = 5;
const LONGEST_RETRY_SECONDS = 60;

function notReady(message: string, load: ModelView | undefined): PangalacticError {
  if (!load || load.state === 'READY') return new PangalacticError('model_not_ready', message, { param: 'model' });
  const { state, progress, etaSeconds, waitingFor } = load;
  const why = waitingFor === '' ? `It is ${state}.` : `It is ${state}: ${waitingFor}.`;
  return new PangalacticError('model_not_ready', `${message} ${why}`, {
    param: 'model',
    retryAfterSeconds: Math.min(LONGEST_RETRY_SECONDS, etaSeconds ?? RETRY_LOAD_SECONDS),
    loading: { state, progress, etaSeconds },
  });
}
