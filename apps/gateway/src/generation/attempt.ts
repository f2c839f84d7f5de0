import { PangalacticError } from '@pangalactic/contracts';
import type { GenerateResponse } from '@pangalactic/contracts';
import type { NodeClient } from '@pangalactic/transport';
import type { GenerationMeasurement } from '../metrics/generation-measurement';
import type { PipelineRoute } from '../routing/route-table';
import type { Admission } from './admission';
import type { GenerationEvent } from './generation-event';
import { pieceEvents } from './sequence';
import type { Sequence } from './sequence';

/**
 * 4,096 tokens at 20 s each. Only for what nothing else ends: a head that stands still is found by its step deadlines, a dead
 * one by keepalive, and the wait for a place ends with the admission.
 */
const GENERATE_DEADLINE_MS = 24 * 60 * 60 * 1000;

/** One Generate call on one pipeline's head, on behalf of a sequence. */
export class Attempt {
  constructor(
    private readonly sequence: Sequence,
    private readonly admission: Admission,
    private readonly measurement: GenerationMeasurement,
  ) {}

  /** Leaving the iteration early cancels the call, which frees the slot. */
  async *run(head: NodeClient, route: PipelineRoute): AsyncGenerator<GenerationEvent, void, undefined> {
    const call = head.generate(this.sequence.requestFor(route), {
      signal: this.admission.signal,
      deadlineMs: GENERATE_DEADLINE_MS,
    });
    for await (const response of call) {
      for (const event of this.events(response)) {
        if (event.kind === 'finished') this.measurement.finished(event.reason);
        yield event;
        if (event.kind === 'finished') return;
      }
    }
    throw new PangalacticError('pipeline_broken', 'The head ended the stream before the sequence was finished.');
  }

  private events({ accepted, token, finished }: GenerateResponse): GenerationEvent[] {
    if (accepted) {
      this.admission.grant();
      const event = this.sequence.onAccepted(accepted);
      if (event) this.measurement.accepted(this.sequence.promptTokens);
      return event ? [event] : [];
    }
    if (token) {
      const matched = this.sequence.onToken(token);
      if (!matched) return [];
      this.measurement.token();
      const events = pieceEvents(matched);
      return matched.stopped ? [...events, this.sequence.finished('stop')] : events;
    }
    return finished ? this.sequence.onFinished(finished) : [];
  }
}
