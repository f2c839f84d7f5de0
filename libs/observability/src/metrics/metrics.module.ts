import { Controller, Get, Inject, Module, Res } from '@nestjs/common';
import type { DynamicModule, OnModuleInit } from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import { Public } from '@pangalactic/auth';
import { packageVersion } from '@pangalactic/contracts';
import { PrometheusController, PrometheusModule } from '@willsoto/nestjs-prometheus';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { register } from 'prom-client';
import { createMetrics } from './create-metrics';
import { PROCESS_METRICS } from './process-metrics';

const CLIENT_CLOSED_REQUEST = 499;
/** Each sample wakes the process. No lag that is measured is shorter than the time between two of them. */
const EVENT_LOOP_SAMPLE_MS = 100;
const PROCESS_NAME = Symbol('ProcessName');

@Public()
@Controller()
class MetricsController extends PrometheusController {
  @Get()
  override index(@Res({ passthrough: true }) response: unknown): Promise<string> {
    return super.index(response);
  }
}

@Module({})
class MetricsModule implements OnModuleInit {
  private readonly metrics = createMetrics(PROCESS_METRICS);

  constructor(
    @Inject(PROCESS_NAME) private readonly processName: string,
    private readonly adapterHost: HttpAdapterHost,
  ) {}

  onModuleInit(): void {
    const versions = { version: packageVersion(), node_version: process.versions.node };
    this.metrics.buildInfo.set({ process: this.processName, ...versions }, 1);
    const fastify = this.adapterHost.httpAdapter.getInstance<FastifyInstance>();
    fastify.addHook('onRequest', (request, reply, next) => {
      // The raw response, because Fastify's own hooks do not see the end of a stream that was hijacked.
      reply.raw.once('close', () => this.count(request, reply));
      next();
    });
  }

  private count({ method, routeOptions }: FastifyRequest, { raw }: FastifyReply): void {
    this.metrics.httpRequests.inc({
      method,
      route: routeOptions.url ?? 'unmatched',
      status: raw.writableFinished ? raw.statusCode : CLIENT_CLOSED_REQUEST,
    });
  }
}

/** `GET /metrics` in Prometheus' text format: Node's default metrics and whatever the application registers. */
export function metricsModule(processName: 'hub' | 'node' | 'gateway'): DynamicModule {
  // The registry is the process's. A test that builds several applications gets the metrics of the last.
  register.clear();
  return {
    module: MetricsModule,
    imports: [
      PrometheusModule.register({
        ...{ controller: MetricsController, path: '/metrics' },
        defaultMetrics: { enabled: true, config: { eventLoopMonitoringPrecision: EVENT_LOOP_SAMPLE_MS } },
      }),
    ],
    providers: [{ provide: PROCESS_NAME, useValue: processName }],
  };
}
