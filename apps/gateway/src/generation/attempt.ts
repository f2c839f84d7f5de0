import { Logger } from '@nestjs/common';
import { PangalacticError } from '@pangalactic/contracts';
import type { GenerateResponse } from '@pangalactic/contracts';
import type { NodeClient } from '@pangalactic/transport';
import type { GenerationMeasurement } from '../metrics/generation-measurement';
import type { PipelineRoute } from '../routing/route-table';
import type { Admission } from './admission';
import type { GenerationEvent } from './generation-event';
import { pieceEvents } from './sequence';
import type { Sequence } from './sequence';
import { watchHead } from './watch-head';

/** 4,096 tokens at 20 s each. Only for what nothing else ends; the wait for a place ends with the admission. */
const GENERATE_DEADLINE_MS = 24 * 60 * 60 * 1000;
/** As long as any step may take, at least. */
const HEAD_SILENCE_MS = 5_000;

const logger = new Logger('generation');

/** One Generate call on one pipeline's head, on behalf of a sequence. */
export class Attempt {
  constructor(
    private readonly sequence: Sequence,
    private readonly admission: Admission,
    private readonly measurement: GenerationMeasurement,
    private readonly route: PipelineRoute,
  ) {}

  /**
   * Leaving the iteration early cancels the call, which frees the slot.
   * @param headAnswers asks the head's process whether it is there
   */
  async *run(head: NodeClient, headAnswers: () => Promise<boolean>): AsyncGenerator<GenerationEvent, void, undefined> {
    const call = head.generate(this.sequence.requestFor(this.route), {
      signal: this.admission.signal,
      deadlineMs: GENERATE_DEADLINE_MS,
    });
    for await (const response of watchHead(call, { silenceMs: HEAD_SILENCE_MS, answers: headAnswers })) {
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
      this.measurement.prefixLookedUp(accepted.promptTokens, accepted.cachedTokens);
      const event = this.sequence.onAccepted(accepted);
      if (!event) {
        this.resumed();
        return [];
      }
      this.measurement.accepted(this.sequence.promptTokens);
      return [event];
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

  private resumed(): void {
    const { pipelineId } = this.route;
    const { completionTokens } = this.sequence;
    const waitedMs = Math.round(this.measurement.resumed());
    logger.log({ event: 'generation_resumed', pipelineId, completionTokens, waitedMs });
  }
}
