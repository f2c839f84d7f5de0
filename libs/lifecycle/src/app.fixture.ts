import type { ServerWritableStream } from '@grpc/grpc-js';
import { setTimeout as delay } from 'node:timers/promises';
import {
  Controller,
  Get,
  Param,
  type DynamicModule,
  type OnApplicationShutdown,
  type OnModuleInit,
} from '@nestjs/common';
import { GrpcMethod } from '@nestjs/microservices';
import { ConfigError, type Address } from '@pangalactic/config';
import { PangalacticError, type GetClusterResponse, type WatchRoutesResponse } from '@pangalactic/contracts';
import { streamResponse } from '@pangalactic/transport';
import { LoggerModule } from 'nestjs-pino';
import { DrainCoordinator, type DrainOptions } from './drain-coordinator';
import { READINESS_CHECKS, type ReadinessCheck } from './readiness';
import type { ProcessSettings } from './run-app';

export interface SpecConfig {
  readonly http: Address;
  readonly grpc: Address;
  readonly drain: DrainOptions;
  readonly logLevel: 'info' | 'silent';
  /** `hang`: the last hook of its shutdown takes a day. */
  readonly fault?: 'config' | 'module' | 'defect' | 'hang';
}

/** Answers over both transports, holds work open, and fails in every way there is. */
@Controller()
class SpecController implements OnModuleInit {
  private initialised = false;

  constructor(private readonly drain: DrainCoordinator) {}

  async onModuleInit(): Promise<void> {
    await delay(100);
    this.initialised = true;
  }

  @Get('slow/:ms')
  slow(@Param('ms') ms: string): Promise<string> {
    return this.drain.track(() => delay(Number(ms), 'finished'));
  }

  @Get('reject')
  reject(): string {
    void Promise.reject(new TypeError('nobody catches this'));
    return 'rejected';
  }

  @GrpcMethod('HubService', 'GetCluster')
  getCluster(): GetClusterResponse {
    if (!this.initialised) throw new PangalacticError('service_unavailable', 'called before onModuleInit had ended');
    throw new PangalacticError('state_conflict', 'somebody else was faster');
  }

  @GrpcMethod('HubService', 'WatchRoutes')
  watchRoutes(_request: object, _metadata: object, call: ServerWritableStream<never, WatchRoutesResponse>) {
    const first: WatchRoutesResponse = {
      routes: [],
      models: [{ id: 'first', state: 'WAITING', contextLength: 256, origin: 'OPERATOR' }],
    };
    return streamResponse(
      call,
      async function* (signal) {
        yield first;
        await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()));
      },
      { until: this.drain.closing },
    );
  }
}

class SpecModule {}

class HangingModule implements OnApplicationShutdown {
  onApplicationShutdown(): Promise<void> {
    return delay(24 * 3_600_000);
  }
}

class FailingModule {
  constructor() {
    throw new PangalacticError('unsupported_compute_type', 'NODE_GPU_COMPUTE_TYPE="cuda": install it first');
  }
}

class DefectiveModule {
  constructor() {
    throw new TypeError('undefined is not a function');
  }
}

const FAULTY = { module: FailingModule, defect: DefectiveModule, hang: HangingModule };

export function specSettings(config: SpecConfig, checks: readonly ReadinessCheck[] = []): ProcessSettings<SpecConfig> {
  const { fault } = config;
  return {
    name: 'spec',
    loadConfig: () => {
      if (fault === 'config') throw new ConfigError('SPEC_ADDR="nowhere": allowed: host:port');
      return config;
    },
    createModule: (): DynamicModule => ({
      module: fault && fault !== 'config' ? FAULTY[fault] : SpecModule,
      imports: [LoggerModule.forRoot({ pinoHttp: { level: config.logLevel, autoLogging: false } })],
      controllers: [SpecController],
      providers: [{ provide: READINESS_CHECKS, useValue: checks }],
    }),
    http: () => ({ address: config.http, variable: 'SPEC_HTTP_ADDR', forceCloseConnections: 'idle' }),
    grpc: () => ({
      address: config.grpc,
      variable: 'SPEC_BIND_ADDR',
      services: ['HubService'],
      clusterToken: undefined,
    }),
    drain: () => config.drain,
  };
}
