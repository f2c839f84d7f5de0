import { once } from 'node:events';
import { join } from 'node:path';
import { Controller, Inject, Module } from '@nestjs/common';
import type { DynamicModule, INestMicroservice } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { GrpcMethod } from '@nestjs/microservices';
import { FinishReason, PangalacticError, repositoryRoot } from '@pangalactic/contracts';
import type {
  GenerateRequest,
  GenerateResponse,
  LeasePermitsRequest,
  LeasePermitsResponse,
  ReadModelHeaderRequest,
  LoadModelRequest,
  LoadModelResponse,
  ModelSummary,
  ModelView,
  ReadModelHeaderResponse,
  Route,
  WatchRoutesRequest,
  WatchRoutesResponse,
} from '@pangalactic/contracts';
import { readGgufHeader } from '@pangalactic/models';
import { freePort } from '@pangalactic/testing';
import { GrpcErrorFilter, grpcServerOptions, GrpcServerHandle, streamResponse } from '@pangalactic/transport';

type StreamCall = Parameters<typeof streamResponse>[0];

/** What a head does with a sequence. */
export type Script = (request: GenerateRequest, signal: AbortSignal) => AsyncIterable<GenerateResponse>;

/** One Generate call as the head saw it. */
export interface SeenCall {
  readonly request: GenerateRequest;
  /** Messages that the gateway's side of the connection took. */
  taken: number;
  /** The gateway gave it up before its end. */
  cancelled: boolean;
}

export const FINGERPRINT = 'a'.repeat(64);
export const CONTEXT_LENGTH = 512;
/** The model is meant to run, and nothing serves it. */
export const WITHOUT_PIPELINE: WatchRoutesResponse = { routes: [], models: [modelSummary('WAITING')] };
const HEADER_CHUNK_BYTES = 64 * 1024;

/**
 * A hub and a head in one gRPC server, played by the tests: the gateway's protocol peers, with the header of the real
 * model. Every pipeline of its route table leads here.
 */
export class ScriptedCluster {
  readonly calls: SeenCall[] = [];
  headerReads = 0;
  readonly loadRequests: LoadModelRequest[] = [];
  /** What LoadModel answers. */
  load: (request: LoadModelRequest) => ModelView = () => modelView('WAITING');
  script: Script = () => answer([]);
  leasePermits: (request: LeasePermitsRequest) => Promise<LeasePermitsResponse> = () =>
    Promise.reject(new PangalacticError('service_unavailable', 'this hub leases no permits'));
  private table: WatchRoutesResponse = { routes: [], models: [] };
  private readonly watchers = new Set<() => void>();
  private server: INestMicroservice | undefined;
  private readonly stopped = new AbortController();
  private interruption = new AbortController();

  private constructor(
    readonly port: number,
    /** What ReadModelHeader sends. */
    public header: Buffer,
  ) {}

  static async start(clusterToken = ''): Promise<ScriptedCluster> {
    const { bytes } = await readGgufHeader(join(repositoryRoot(), 'models', 'pangalactic-nano.gguf'));
    const cluster = new ScriptedCluster(await freePort(), bytes);
    await cluster.listen(clusterToken);
    return cluster;
  }

  get address(): string {
    return `127.0.0.1:${this.port}`;
  }

  async stop(): Promise<void> {
    this.stopped.abort(new PangalacticError('service_unavailable', 'the scripted cluster is stopping'));
    await this.server?.close();
  }

  /** One pipeline per id, all of the model `pangalactic-nano`. */
  deploy(...pipelines: (string | Route)[]): void {
    const routes = pipelines.map((each) => (typeof each === 'string' ? this.route(each) : each));
    this.publish({ routes, models: [modelSummary('READY')] });
  }

  publish(table: WatchRoutesResponse): void {
    this.table = table;
    for (const notify of this.watchers) notify();
  }

  /** Breaks the watch streams, as a restart of the hub does. */
  interruptWatches(): void {
    this.interruption.abort(new PangalacticError('service_unavailable', 'the scripted hub is restarting'));
    this.interruption = new AbortController();
  }

  route(id: string, stageAddresses: readonly string[] = [this.address]): Route {
    const stages = stageAddresses.map((address, index) => ({
      nodeId: `node-${index}`,
      address,
      layers: { from: index, to: index + 1 },
      memoryBytes: 1,
    }));
    const pipeline = {
      id,
      modelId: 'pangalactic-nano',
      fingerprint: FINGERPRINT,
      stages,
      contextLength: CONTEXT_LENGTH,
      maxSequences: 8,
    };
    return { pipeline, readyAt: 1_700_000_000 };
  }

  /** Ends when the caller or the server is gone. */
  async *tables(signal: AbortSignal): AsyncGenerator<WatchRoutesResponse> {
    for (let sent: WatchRoutesResponse | undefined; !signal.aborted;) {
      if (sent !== this.table) {
        sent = this.table;
        yield sent;
      } else {
        await new Promise<void>((resolve) => {
          this.watchers.add(resolve);
          signal.addEventListener('abort', () => resolve(), { once: true });
        });
        this.watchers.clear();
      }
    }
  }

  async *generate(request: GenerateRequest, signal: AbortSignal): AsyncGenerator<GenerateResponse> {
    const call: SeenCall = { request, taken: 0, cancelled: false };
    this.calls.push(call);
    signal.addEventListener('abort', () => (call.cancelled = true));
    for await (const response of this.script(request, signal)) {
      yield response;
      call.taken += 1;
    }
  }

  async *readHeader({ fingerprint }: ReadModelHeaderRequest): AsyncGenerator<ReadModelHeaderResponse> {
    if (fingerprint !== FINGERPRINT) throw new PangalacticError('not_found', `no model ${fingerprint}`);
    this.headerReads += 1;
    for (let from = 0; from < this.header.length; from += HEADER_CHUNK_BYTES) {
      yield { data: this.header.subarray(from, from + HEADER_CHUNK_BYTES) };
    }
  }

  /** Until when a watch lasts. */
  get watchEnd(): AbortSignal {
    return AbortSignal.any([this.stopped.signal, this.interruption.signal]);
  }

  private async listen(clusterToken: string): Promise<void> {
    const handle = new GrpcServerHandle();
    const settings = { bindAddress: this.address, services: ['HubService', 'NodeService'], clusterToken } as const;
    const module: DynamicModule = {
      module: ScriptedModule,
      providers: [{ provide: ScriptedCluster, useValue: this }],
    };
    this.server = await NestFactory.createMicroservice(module, {
      ...grpcServerOptions(settings, handle),
      logger: false,
    });
    this.server.useGlobalFilters(new GrpcErrorFilter());
    await this.server.listen();
  }
}

export function modelSummary(state: string, changes: Partial<ModelSummary> = {}): ModelSummary {
  return { id: 'pangalactic-nano', state, contextLength: CONTEXT_LENGTH, origin: 'CONFIGURATION', ...changes };
}

export function modelView(state: string, changes: Partial<ModelView> = {}): ModelView {
  const nothing = { progress: 0, waitingFor: '', versions: [], pipelines: [] };
  return { ...nothing, ...modelSummary(state), wantedState: state, ...changes };
}

@Controller()
class ScriptedController {
  constructor(@Inject(ScriptedCluster) private readonly cluster: ScriptedCluster) {}

  @GrpcMethod('HubService', 'WatchRoutes')
  watchRoutes(_request: WatchRoutesRequest, _metadata: unknown, call: StreamCall) {
    return streamResponse(call, (signal) => this.cluster.tables(signal), { until: this.cluster.watchEnd });
  }

  @GrpcMethod('HubService', 'LeasePermits')
  leasePermits(request: LeasePermitsRequest) {
    return this.cluster.leasePermits(request);
  }

  @GrpcMethod('HubService', 'LoadModel')
  loadModel(request: LoadModelRequest): LoadModelResponse {
    this.cluster.loadRequests.push(request);
    return { model: this.cluster.load(request) };
  }

  @GrpcMethod('NodeService', 'Generate')
  generate(request: GenerateRequest, _metadata: unknown, call: StreamCall) {
    return streamResponse(call, (signal) => this.cluster.generate(request, signal));
  }

  @GrpcMethod('NodeService', 'ReadModelHeader')
  readModelHeader(request: ReadModelHeaderRequest, _metadata: unknown, call: StreamCall) {
    return streamResponse(call, () => this.cluster.readHeader(request));
  }
}

@Module({ controllers: [ScriptedController] })
class ScriptedModule {}

/** A head that generates these tokens: accepted, one token after the other, finished. */
export async function* answer(ids: readonly number[], reason = FinishReason.FINISH_REASON_STOP, promptTokens = 1) {
  yield { accepted: { promptTokens, cachedTokens: 0 } };
  for (const [index, id] of ids.entries()) yield { token: { index, id } };
  yield { finished: { reason, completionTokens: ids.length } };
}

/** Waits for the end of the call, whoever brings it about. */
export async function untilAborted(signal: AbortSignal): Promise<void> {
  if (!signal.aborted) await once(signal, 'abort');
}
