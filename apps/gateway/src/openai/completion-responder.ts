import { randomUUID } from 'node:crypto';
import type { OutgoingHttpHeaders } from 'node:http';
import { Injectable, Logger } from '@nestjs/common';
import { PangalacticError, toPangalacticError } from '@pangalactic/contracts';
import { DrainCoordinator } from '@pangalactic/lifecycle';
import type { FastifyReply } from 'fastify';
import type { GenerationEvent } from '../generation/generation-event';
import { generationSpec } from '../generation/generation-spec';
import { GenerationService } from '../generation/generation.service';
import type { Prompt } from '../generation/prompt';
import type { GenerationOptions } from './requests/generation-fields';
import type { CompletionShape, ResponseHeader } from './responses/completion-shape';
import { errorBody } from './responses/error-body';
import { SSE_TIMINGS, SseWriter } from './sse-writer';

type Generation = AsyncGenerator<GenerationEvent, void, undefined>;

/** Answers a completion request, in one piece or as a stream, in the shape of its endpoint. */
@Injectable()
export class CompletionResponder {
  private readonly logger = new Logger(CompletionResponder.name);

  constructor(
    private readonly generations: GenerationService,
    private readonly drain: DrainCoordinator,
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
    };
    if (options.stream) await this.stream(reply, shape, header, events);
    else await reply.send(await whole(shape, header, events));
  }

  private async stream(reply: FastifyReply, shape: CompletionShape, header: ResponseHeader, events: Generation) {
    reply.hijack();
    const sse = new SseWriter(reply.raw, reply.getHeaders() as OutgoingHttpHeaders, SSE_TIMINGS);
    try {
      const opening = shape.opening(header);
      if (opening) await sse.send(opening);
      for await (const event of events) {
        for (const chunk of chunks(shape, header, event)) await sse.send(chunk);
      }
    } catch (thrown) {
      if (reply.raw.destroyed) return;
      const error = toPangalacticError(thrown);
      this.logger.warn({ event: 'stream_failed', requestId: reply.request.id, code: error.code, error: error.message });
      await sse.send(errorBody(error));
    }
    await sse.end();
  }
}

function* chunks(shape: CompletionShape, header: ResponseHeader, event: GenerationEvent): Generator<object> {
  if (event.kind === 'text') yield shape.textChunk(header, event.text);
  if (event.kind !== 'finished') return;
  yield shape.finishChunk(header, event.reason);
  if (header.includeUsage) yield shape.usageChunk(header, event.usage);
}

async function whole(shape: CompletionShape, header: ResponseHeader, events: Generation): Promise<object> {
  let text = '';
  for await (const event of events) {
    if (event.kind === 'text') text += event.text;
    if (event.kind === 'finished') return shape.whole(header, { text, reason: event.reason, usage: event.usage });
  }
  throw new PangalacticError('internal_error', 'The generation ended without a reason.');
}

/** Waits until the sequence has a slot: every failure before that is an HTTP status, also of a stream. */
async function acceptance(events: Generation): Promise<string> {
  const { value } = await events.next();
  if (value?.kind !== 'accepted') throw new PangalacticError('internal_error', 'The generation began unaccepted.');
  return `fp_${value.fingerprint.slice(0, 12)}`;
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
