import { Client, credentials, type CallOptions as GrpcCallOptions, type Metadata } from '@grpc/grpc-js';
import { PangalacticError, type HubService, type NodeService } from '@pangalactic/contracts';
import type { CallOptions, GrpcClient, UnaryOptions } from './call-types';
import { CLIENT_OPTIONS } from './channel-options';
import { cancellation, DuplexCall, ReadingCall } from './client-call';
import { clusterTokenMetadata, type ClusterToken } from './cluster-token';
import { fromCallStatus } from './errors';
import { serviceDefinition, type AnyMethod, type ServiceName } from './service-definitions';

export interface ClientSettings {
  /** Undefined in an open cluster. */
  readonly clusterToken: ClusterToken | undefined;
}

export type HubClient = GrpcClient<HubService>;
export type NodeClient = GrpcClient<NodeService>;

/** Connects lazily, at the first call, and reconnects by itself. */
export function connectHub(address: string, settings: ClientSettings): HubClient {
  return connect<HubService>('HubService', address, settings);
}

export function connectNode(address: string, settings: ClientSettings): NodeClient {
  return connect<NodeService>('NodeService', address, settings);
}

function connect<Service>(name: ServiceName, address: string, { clusterToken }: ClientSettings): GrpcClient<Service> {
  const caller = new Caller(address, clusterTokenMetadata(clusterToken));
  const methods = Object.values(serviceDefinition(name)).map((method) => [method.originalName, caller.method(method)]);
  return {
    ...(Object.fromEntries(methods) as object),
    address,
    close: () => caller.close(),
  } as GrpcClient<Service>;
}

interface Cancellable {
  cancel(reason: PangalacticError): void;
}

class Caller {
  private readonly client: Client;
  private readonly openCalls = new Set<Cancellable>();

  constructor(
    private readonly address: string,
    private readonly metadata: () => Metadata,
  ) {
    this.client = new Client(address, credentials.createInsecure(), CLIENT_OPTIONS);
  }

  method(method: AnyMethod): unknown {
    if (method.requestStream) return (options?: CallOptions) => this.duplex(method, options);
    if (method.responseStream)
      return (request: unknown, options?: CallOptions) => this.stream(method, request, options);
    return (request: unknown, options: UnaryOptions) => this.unary(method, request, options);
  }

  /** grpc-js alone would keep the connection until the last call ends by itself. */
  close(): void {
    const reason = new PangalacticError('cancelled', `the client of ${this.address} was closed`);
    for (const call of [...this.openCalls]) call.cancel(reason);
    this.client.close();
  }

  private duplex({ path, requestSerialize, responseDeserialize }: AnyMethod, options: CallOptions = {}) {
    const call = this.client.makeBidiStreamRequest(
      path,
      requestSerialize,
      responseDeserialize,
      this.metadata(),
      grpcOptions(options),
    );
    return this.opened(new DuplexCall(call, this.address, options));
  }

  private stream(
    { path, requestSerialize, responseDeserialize }: AnyMethod,
    request: unknown,
    options: CallOptions = {},
  ) {
    const call = this.client.makeServerStreamRequest(
      path,
      requestSerialize,
      responseDeserialize,
      request,
      this.metadata(),
      grpcOptions(options),
    );
    return this.opened(new ReadingCall(call, this.address, options.signal));
  }

  private unary(method: AnyMethod, request: unknown, options: UnaryOptions): Promise<unknown> {
    const { path, requestSerialize, responseDeserialize } = method;
    const { signal } = options;
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(cancellation(signal));
      let cancelledFor: PangalacticError | undefined;
      const open: Cancellable = {
        cancel: (reason) => {
          cancelledFor = reason;
          call.cancel();
        },
      };
      const abort = () => open.cancel(cancellation(signal));
      const call = this.client.makeUnaryRequest(
        path,
        requestSerialize,
        responseDeserialize,
        request,
        this.metadata(),
        grpcOptions(options),
        (error, response) => {
          this.openCalls.delete(open);
          signal?.removeEventListener('abort', abort);
          if (error) reject(cancelledFor ?? fromCallStatus(error, this.address));
          else resolve(response);
        },
      );
      this.openCalls.add(open);
      signal?.addEventListener('abort', abort, { once: true });
    });
  }

  private opened<Call extends ReadingCall<unknown>>(call: Call): Call {
    this.openCalls.add(call);
    call.onEnd(() => this.openCalls.delete(call));
    return call;
  }
}

function grpcOptions({ deadlineMs }: CallOptions): GrpcCallOptions {
  return deadlineMs === undefined ? {} : { deadline: Date.now() + deadlineMs };
}
