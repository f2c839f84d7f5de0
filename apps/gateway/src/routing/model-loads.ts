import { Injectable, Logger, type OnApplicationShutdown } from '@nestjs/common';
import { toPangalacticError, type ErrorCode, type ModelView } from '@pangalactic/contracts';
import { delay } from '../abort';
import { LeadingHub } from './leading-hub';

const ASK_DEADLINE_MS = 5_000;
/** The hub forgets a model that it cannot place when nobody has asked for a minute. */
const ASK_INTERVAL_MS = 1_000;

/** A model that requests wait for. */
interface WantedModel {
  requests: number;
  /** As the hub said last. */
  view: ModelView | undefined;
  /** Of the last question, so that an outage is one line in the log. */
  failure: ErrorCode | undefined;
  readonly served: AbortController;
}

/** Asks the hub for the models that requests wait for: once a second per model, however many wait. */
@Injectable()
export class ModelLoads implements OnApplicationShutdown {
  private readonly logger = new Logger(ModelLoads.name);
  private readonly wanted = new Map<string, WantedModel>();

  constructor(private readonly hub: LeadingHub) {}

  onApplicationShutdown(): void {
    for (const { served } of this.wanted.values()) served.abort();
  }

  /** @returns ends the wait of one request */
  waitFor(modelId: string): () => void {
    let model = this.wanted.get(modelId);
    if (!model) {
      model = { requests: 0, view: undefined, failure: undefined, served: new AbortController() };
      this.wanted.set(modelId, model);
      void this.ask(modelId, model);
    }
    const { served } = model;
    const counted = model;
    counted.requests += 1;
    return () => {
      counted.requests -= 1;
      if (counted.requests > 0) return;
      served.abort();
      this.wanted.delete(modelId);
    };
  }

  /** Undefined when no request waits for it, or the hub has not answered. */
  progressOf(modelId: string): ModelView | undefined {
    return this.wanted.get(modelId)?.view;
  }

  /** Until it is not wanted any more. */
  private async ask(modelId: string, model: WantedModel): Promise<void> {
    const { signal } = model.served;
    while (!signal.aborted) {
      try {
        const request = { modelId, onRequest: true, pins: [] };
        const response = await this.hub.call((hub) => hub.loadModel(request, { deadlineMs: ASK_DEADLINE_MS, signal }));
        model.view = response.model;
        model.failure = undefined;
      } catch (error) {
        if (signal.aborted) return;
        const { code, message } = toPangalacticError(error);
        if (code !== model.failure) this.logger.warn({ event: 'model_not_requested', modelId, error: message });
        model.failure = code;
      }
      await delay(ASK_INTERVAL_MS, signal).catch(() => undefined);
    }
  }
}
