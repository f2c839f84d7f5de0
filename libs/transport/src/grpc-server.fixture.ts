import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { ServerDuplexStream, ServerWritableStream } from '@grpc/grpc-js';
import { Controller, Inject, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { GrpcMethod, GrpcStreamCall } from '@nestjs/microservices';
import type {
  GetClusterRequest,
  GetClusterResponse,
  HopRequest,
  HopResponse,
  NodeSessionRequest,
  NodeSessionResponse,
  ReadModelHeaderRequest,
  ReadModelHeaderResponse,
} from '@pangalactic/contracts';
import type { Observable } from 'rxjs';
import type { ClusterToken } from './cluster-token';
import { GrpcErrorFilter } from './grpc-error.filter';
import { GrpcServerHandle, grpcServerOptions } from './grpc-server';

export type HeaderCall = ServerWritableStream<never, ReadModelHeaderResponse>;

/** One handler per shape of call. */
export interface Handlers {
  getCluster(request: GetClusterRequest): Promise<GetClusterResponse>;
  readModelHeader(request: ReadModelHeaderRequest, call: HeaderCall): Observable<ReadModelHeaderResponse>;
  nodeSession(call: ServerDuplexStream<NodeSessionRequest, NodeSessionResponse>): Promise<void>;
  hop(call: ServerDuplexStream<HopRequest, HopResponse>): Promise<void>;
}

const HANDLERS = Symbol('Handlers');

@Controller()
class HandlersController {
  constructor(@Inject(HANDLERS) private readonly handlers: Partial<Handlers>) {}

  @GrpcMethod('HubService', 'GetCluster')
  getCluster(request: GetClusterRequest) {
    return this.handlers.getCluster?.(request);
  }

  @GrpcMethod('NodeService', 'ReadModelHeader')
  readModelHeader(request: ReadModelHeaderRequest, _metadata: unknown, call: HeaderCall) {
    return this.handlers.readModelHeader?.(request, call);
  }

  @GrpcStreamCall('HubService', 'NodeSession')
  nodeSession(call: ServerDuplexStream<NodeSessionRequest, NodeSessionResponse>) {
    return this.handlers.nodeSession?.(call);
  }

  @GrpcStreamCall('NodeService', 'Hop')
  hop(call: ServerDuplexStream<HopRequest, HopResponse>) {
    return this.handlers.hop?.(call);
  }
}

@Module({})
class HandlersModule {}

export interface SpecServer {
  readonly address: string;
  readonly handle: GrpcServerHandle;
  /** Another way to the same server, whose connections can be cut without a word. */
  openTunnel(): Promise<{ readonly address: string; cut(): void }>;
  close(): Promise<void>;
}

/** A real Nest gRPC server on a unix socket. */
export async function startSpecServer(handlers: Partial<Handlers>, clusterToken?: ClusterToken): Promise<SpecServer> {
  const folder = mkdtempSync(join(tmpdir(), 'transport-'));
  const path = join(folder, 'server.sock');
  const handle = new GrpcServerHandle();
  const app = await NestFactory.createMicroservice(
    {
      module: HandlersModule,
      controllers: [HandlersController],
      providers: [{ provide: HANDLERS, useValue: handlers }],
    },
    {
      ...grpcServerOptions(
        { bindAddress: `unix:${path}`, services: ['HubService', 'NodeService'], clusterToken },
        handle,
      ),
      logger: false as const,
      abortOnError: false,
    },
  );
  app.useGlobalFilters(new GrpcErrorFilter());
  await app.listen();
  const sockets = new Set<Socket>();
  const closers: (() => void)[] = [];
  return {
    address: `unix:${path}`,
    handle,
    async openTunnel() {
      const tunnelPath = join(folder, `tunnel-${closers.length}.sock`);
      const cut = () => sockets.forEach((socket) => socket.destroy());
      const tunnel = createServer((near) => {
        const far = connect(path);
        for (const socket of [near, far]) sockets.add(socket.on('error', cut).on('close', cut));
        near.pipe(far).pipe(near);
      });
      await new Promise<void>((resolve) => tunnel.listen(tunnelPath, resolve));
      closers.push(() => {
        cut();
        tunnel.close();
      });
      return { address: `unix:${tunnelPath}`, cut };
    },
    async close() {
      closers.forEach((closeTunnel) => closeTunnel());
      handle.forceShutdown();
      await app.close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** A count that grows until something holds it back, once it has stood still for a while. */
export async function settled(count: () => number): Promise<number> {
  const deadline = performance.now() + 10_000;
  for (let last = -1; performance.now() < deadline; last = count()) {
    if (last > 0 && count() === last) return last;
    await delay(150);
  }
  throw new Error(`nothing holds the count back: ${count()} after 10 s`);
}
