import { Controller } from '@nestjs/common';
import { GrpcMethod, GrpcStreamCall } from '@nestjs/microservices';
import type { ServerDuplexStream, ServerWritableStream } from '@grpc/grpc-js';
import {
  type GenerateRequest,
  type GenerateResponse,
  type HopRequest,
  type HopResponse,
  PangalacticError,
  type ReadModelHeaderRequest,
  type ReadModelHeaderResponse,
  type ResultsRequest,
  type ResultsResponse,
  toPangalacticError,
} from '@pangalactic/contracts';
import { DrainCoordinator } from '@pangalactic/lifecycle';
import { activationCodec, type Duplex, handleDuplex, streamResponse } from '@pangalactic/transport';
import type { Observable } from 'rxjs';
import { GenerationService } from './generation/generation.service';
import { headerChunks } from './models/header-chunks';
import { ModelInventory } from './models/model-inventory.service';
import { HopReceiver } from './pipeline/hop-receiver';
import { PipelineRegistry } from './pipeline/pipeline-registry.service';

/** A dialler says at once what it wants. */
const HOP_OPEN_TIMEOUT_MS = 10_000;

type Writing<Response> = ServerWritableStream<never, Response>;

@Controller()
export class NodeController {
  constructor(
    private readonly pipelines: PipelineRegistry,
    private readonly generations: GenerationService,
    private readonly inventory: ModelInventory,
    private readonly drain: DrainCoordinator,
  ) {}

  @GrpcMethod('NodeService', 'Generate')
  generate(request: GenerateRequest, _metadata: unknown, call: Writing<GenerateResponse>): Observable<never> {
    const ending = new AbortController();
    const endCall = (reason: unknown) => ending.abort(reason);
    const shutDown = () => endCall(this.drain.closing.reason);
    this.drain.closing.addEventListener('abort', shutDown, { once: true });
    call.once('close', () => this.drain.closing.removeEventListener('abort', shutDown));
    return streamResponse(call, (signal) => this.generations.generate(request, signal, endCall), {
      until: ending.signal,
    });
  }

  @GrpcMethod('NodeService', 'ReadModelHeader')
  readModelHeader(
    { fingerprint }: ReadModelHeaderRequest,
    _metadata: unknown,
    call: Writing<ReadModelHeaderResponse>,
  ): Observable<never> {
    return streamResponse(call, () => this.modelHeader(fingerprint), { until: this.drain.closing });
  }

  /** Ends with its pipeline, which the end of the process breaks. */
  @GrpcStreamCall('NodeService', 'Hop')
  hop(call: ServerDuplexStream<HopRequest, HopResponse>): Promise<void> {
    return handleDuplex(call, (channel) => this.serveHop(channel));
  }

  /** Ends with its pipeline, too. */
  @GrpcMethod('NodeService', 'Results')
  results({ pipelineId }: ResultsRequest, _metadata: unknown, call: Writing<ResultsResponse>): Observable<never> {
    return streamResponse(call, (signal) => this.pipelines.require(pipelineId).serveResults(signal));
  }

  private async *modelHeader(fingerprint: string): AsyncGenerator<ReadModelHeaderResponse> {
    yield* headerChunks(await this.inventory.headerBytes(fingerprint));
  }

  private async serveHop(channel: Duplex<HopResponse, HopRequest>): Promise<void> {
    const receiver = new HopReceiver();
    const { pipelineId, stage, activationFormat } = receiver.open(await this.firstMessage(channel));
    const pipeline = this.pipelines.require(pipelineId);
    if (stage !== pipeline.assignment.stage || pipeline.assignment.isHead) {
      throw new PangalacticError('invalid_request', `this node does not take a hop as stage ${stage} of ${pipelineId}`);
    }
    const expected = activationCodec(pipeline.assignment.spec.activationFormat).name;
    const { name } = activationCodec(activationFormat);
    if (name !== expected) {
      throw new PangalacticError('invalid_request', `stage ${stage} of ${pipelineId} takes ${expected}, not ${name}`);
    }
    await pipeline.serveHop(channel, receiver);
  }

  private async firstMessage(channel: Duplex<HopResponse, HopRequest>): Promise<HopRequest> {
    const late = () => channel.cancel(new PangalacticError('deadline_exceeded', 'the hop was not opened in time'));
    const closing = () => channel.cancel(toPangalacticError(this.drain.closing.reason));
    const timer = setTimeout(late, HOP_OPEN_TIMEOUT_MS);
    this.drain.closing.addEventListener('abort', closing);
    try {
      const first = await channel.next();
      if (!first.done) return first.value;
      throw new PangalacticError('invalid_frame', 'the hop ended before it was opened');
    } finally {
      clearTimeout(timer);
      this.drain.closing.removeEventListener('abort', closing);
    }
  }
}
