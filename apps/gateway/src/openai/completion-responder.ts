import { randomUUID } from 'node:crypto';
import type { OutgoingHttpHeaders } from 'node:http';
import { Injectable, Logger } from '@nestjs/common';
import { PangalacticError, toPangalacticError } from '@pangalactic/contracts';
import { DrainCoordinator } from '@pangalactic/lifecycle';
import type { FastifyReply } from 'fastify';
import { completedChoices, UsageTotal } from '../generation/completed-choices';
import type { ChoiceEvent } from '../generation/generation-event';
import { generationSpec } from '../generation/generation-spec';
import { GenerationService } from '../generation/generation.service';
import type { Prompt } from '../generation/prompt';
import { GatewayMetrics } from '../metrics/gateway-metrics';
import type { GenerationOptions } from './requests/generation-fields';
import type { CompletionShape, ResponseHeader } from './responses/completion-shape';
import { errorBody } from './responses/error-body';
import { SSE_TIMINGS, SseWriter } from './sse-writer';

type Generation = AsyncGenerator<ChoiceEvent, void, undefined>;

/** Answers a completion request, in one piece or as a stream, in the shape of its endpoint. */
@Injectable()
export class CompletionResponder {
  private readonly logger = new Logger(CompletionResponder.name);

  constructor(
    private readonly generations: GenerationService,
    private readonly drain: DrainCoordinator,
    private readonly metrics: GatewayMetrics,
  ) {}

  /** @throws PangalacticError as long as nothing of the answer was sent; later errors go into the stream */
  async respond(
    reply: FastifyReply,
    shape: CompletionShape,
    options: GenerationOptions,
    prompt: Prompt,
  ): Promise<void> {
    const events = this.generations.generate(generationSpec(options, prompt), cancellation(reply, this.drain.closing));
    const header: ResponseHeader = {
      id: `${shape.idPrefix}-${randomUUID().replaceAll('-', '')}`,
      created: Math.floor(Date.now() / 1000),
      model: options.model,
      systemFingerprint: await acceptance(events),
      includeUsage: options.includeUsage,
      logprobs: options.sampling.topLogprobs !== undefined,
    };
    if (options.stream) return this.stream(reply, shape, header, events);
    const { choices, usage } = await completedChoices(events, options.choices);
    await reply.send(shape.whole(header, choices, usage));
  }

  private async stream(reply: FastifyReply, shape: CompletionShape, header: ResponseHeader, events: Generation) {
    reply.hijack();
    const sse = new SseWriter(reply.raw, reply.getHeaders() as OutgoingHttpHeaders, SSE_TIMINGS);
    try {
      for await (const chunk of chunks(shape, header, events)) await sse.send(chunk);
    } catch (thrown) {
      if (reply.raw.destroyed) return;
      const error = toPangalacticError(thrown);
      this.metrics.failed(error.code);
      this.logger.warn({ event: 'stream_failed', requestId: reply.request.id, code: error.code, error: error.message });
      await sse.send(errorBody(error));
    }
    await sse.end();
  }
}

async function* chunks(shape: CompletionShape, header: ResponseHeader, events: Generation): AsyncGenerator<object> {
  const usage = new UsageTotal();
  const opening = shape.opening(header, 0);
  if (opening) yield opening;
  for await (const choiceEvent of events) {
    usage.add(choiceEvent);
    const { choiceIndex, event } = choiceEvent;
    switch (event.kind) {
      case 'accepted': {
        const next = shape.opening(header, choiceIndex);
        if (next) yield next;
        break;
      }
      case 'piece':
        yield shape.pieceChunk(header, choiceIndex, event);
        break;
      case 'finished':
        yield shape.finishChunk(header, choiceIndex, event.reason);
    }
  }
  if (header.includeUsage) yield shape.usageChunk(header, usage.total);
}

/** Waits until the first choice has a slot: every failure before that is an HTTP status, also of a stream. */
async function acceptance(events: Generation): Promise<string> {
  const { value } = await events.next();
  if (value?.event.kind !== 'accepted')
    throw new PangalacticError('internal_error', 'The generation began unaccepted.');
  return `fp_${value.event.fingerprint.slice(0, 12)}`;
}

/** Aborts when the client leaves, or when the process can wait no longer for the end of the answer. */
function cancellation(reply: FastifyReply, closing: AbortSignal): AbortSignal {
  const controller = new AbortController();
  const closingDown = () => controller.abort(closing.reason);
  closing.addEventListener('abort', closingDown);
  const gone = () => {
    closing.removeEventListener('abort', closingDown);
    controller.abort(new PangalacticError('cancelled', 'The client disconnected.'));
  };
  // `close` comes after an answer that was sent in full, too: then nobody listens to the signal any more.
  if (reply.raw.closed) gone();
  else reply.raw.once('close', gone);
  return controller.signal;
}
