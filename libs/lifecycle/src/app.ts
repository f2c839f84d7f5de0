import { Logger as NestLogger, type DynamicModule, type Type } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import { formatAddress, type Address } from '@pangalactic/config';
import {
  GrpcErrorFilter,
  grpcServerOptions,
  GrpcServerHandle,
  type ClusterToken,
  type ServiceName,
} from '@pangalactic/transport';
import { Logger } from 'nestjs-pino';
import { DrainCoordinator, type DrainOptions } from './drain-coordinator';
import { LifecycleModule } from './lifecycle.module';
import { ListenError } from './listen-error';

export interface HttpSettings {
  readonly address: Address;
  /** The variable that the address came from, for error messages. */
  readonly variable: string;
  /** Bytes of the largest request body. */
  readonly bodyLimit?: number;
  /** At close: `true` cuts every connection, `'idle'` only those without a request in progress. */
  readonly forceCloseConnections: true | 'idle';
}

export interface GrpcSettings {
  readonly address: Address;
  readonly variable: string;
  readonly services: readonly ServiceName[];
  readonly clusterToken: ClusterToken | undefined;
}

export interface AppSettings<Config> {
  /** Of the process: hub, node or gateway. */
  readonly name: string;
  /** Must import the logging module; LifecycleModule is added. */
  readonly createModule: (config: Config) => DynamicModule | Type;
  readonly http: (config: Config) => HttpSettings;
  readonly grpc?: (config: Config) => GrpcSettings;
  readonly drain?: (config: Config) => Partial<DrainOptions>;
}

class RootModule {}

/** An application that is wired up but has neither run its init hooks nor opened a port. */
export async function createApp<Config>(
  settings: AppSettings<Config>,
  config: Config,
): Promise<NestFastifyApplication> {
  const { bodyLimit, forceCloseConnections } = settings.http(config);
  const adapter = new FastifyAdapter({ forceCloseConnections, ...(bodyLimit === undefined ? {} : { bodyLimit }) });
  const root: DynamicModule = {
    module: RootModule,
    imports: [LifecycleModule.forRoot(settings.drain?.(config)), settings.createModule(config)],
  };
  const app = await NestFactory.create<NestFastifyApplication>(root, adapter, {
    bufferLogs: true,
    // Otherwise Nest prints a stack for a provider that refuses to start, where one line is promised.
    autoFlushLogs: false,
    abortOnError: false,
  });
  app.useLogger(app.get(Logger));
  app.flushLogs();
  const grpc = settings.grpc?.(config);
  if (grpc) {
    // Before connectMicroservice: global enhancers registered later would not reach gRPC.
    app.useGlobalFilters(new GrpcErrorFilter(app.getHttpAdapter()));
    app.connectMicroservice(
      grpcServerOptions({ ...grpc, bindAddress: formatAddress(grpc.address) }, app.get(GrpcServerHandle)),
      { inheritAppConfig: true },
    );
  }
  return app;
}

/** Init hooks first: a gRPC server that listens earlier answers calls before its providers are ready. */
export async function startApp<Config>(
  app: NestFastifyApplication,
  settings: AppSettings<Config>,
  config: Config,
): Promise<void> {
  const http = settings.http(config);
  const grpc = settings.grpc?.(config);
  await app.init();
  if (grpc) await ListenError.explain(grpc, () => app.startAllMicroservices());
  await ListenError.explain(http, () => app.listen(http.address.port, http.address.host));
  app.get(DrainCoordinator).markServing();
  new NestLogger('lifecycle').log({
    event: 'serving',
    process: settings.name,
    http: formatAddress(http.address),
    ...(grpc ? { grpc: formatAddress(grpc.address) } : {}),
  });
}
