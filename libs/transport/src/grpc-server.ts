import { logVerbosity, setLogVerbosity, type Server, type ServerInterceptor } from '@grpc/grpc-js';
import { Transport, type GrpcOptions } from '@nestjs/microservices';
import { PROTO_PACKAGE } from '@pangalactic/contracts';
import { HealthImplementation } from 'grpc-health-check';
import { SERVER_OPTIONS } from './channel-options';
import { clusterTokenInterceptor, type ClusterToken } from './cluster-token';
import { serviceDefinition, type ServiceName } from './service-definitions';

export interface GrpcServerSettings {
  /** `host:port` or `unix:<path>`. */
  readonly bindAddress: string;
  readonly services: readonly ServiceName[];
  /** Undefined leaves the server open. */
  readonly clusterToken: ClusterToken | undefined;
}

/** The running grpc-js server behind Nest: its health status and its emergency stop. */
export class GrpcServerHandle {
  private readonly health = new HealthImplementation({ '': 'NOT_SERVING' });
  private server: Server | undefined;

  attach(server: Server): void {
    this.server = server;
    this.health.addToServer(server);
  }

  setServing(serving: boolean): void {
    this.health.setStatus('', serving ? 'SERVING' : 'NOT_SERVING');
  }

  /** Ends every open call with CANCELLED at once. */
  forceShutdown(): void {
    this.server?.forceShutdown();
  }
}

/** Options for connectMicroservice: our codec, limits, the cluster token on every method, the standard health service. */
export function grpcServerOptions(settings: GrpcServerSettings, handle: GrpcServerHandle): GrpcOptions {
  // What grpc-js prints to stderr it also reports to us as an error.
  setLogVerbosity(logVerbosity.NONE);
  const interceptors: ServerInterceptor[] = settings.clusterToken
    ? [clusterTokenInterceptor(settings.clusterToken)]
    : [];
  return {
    transport: Transport.GRPC,
    options: {
      url: settings.bindAddress,
      package: PROTO_PACKAGE,
      packageDefinition: Object.fromEntries(
        settings.services.map((name) => [`${PROTO_PACKAGE}.${name}`, serviceDefinition(name)]),
      ),
      // Nest hands these to grpc-js's Server as they are; its type just does not know interceptors.
      channelOptions: { ...SERVER_OPTIONS, interceptors },
      // Off, Nest cuts every open call; on, it waits for them: the drain coordinator ends them and holds the deadline.
      gracefulShutdown: true,
      onLoadPackageDefinition: (_definition, server: Server) => handle.attach(server),
    },
  };
}
