import { Controller, Get, Res } from '@nestjs/common';
import type { DynamicModule } from '@nestjs/common';
import { Public } from '@pangalactic/auth';
import { PrometheusController, PrometheusModule } from '@willsoto/nestjs-prometheus';
import { register } from 'prom-client';

@Public()
@Controller()
class MetricsController extends PrometheusController {
  @Get()
  override index(@Res({ passthrough: true }) response: unknown): Promise<string> {
    return super.index(response);
  }
}

/** `GET /metrics` in Prometheus' text format: Node's default metrics and whatever the application registers. */
export function metricsModule(): DynamicModule {
  // The registry is the process's. A test that builds several applications gets the metrics of the last.
  register.clear();
  return PrometheusModule.register({ controller: MetricsController, path: '/metrics' });
}
