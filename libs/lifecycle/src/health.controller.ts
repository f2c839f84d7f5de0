import {
  Controller,
  Get,
  Header,
  HttpStatus,
  Res,
  ServiceUnavailableException,
  type OnModuleInit,
} from '@nestjs/common';
import { ModuleRef } from '@nestjs/core';
import {
  HealthCheckService,
  HealthIndicatorService,
  type HealthCheckResult,
  type HealthIndicatorFunction,
} from '@nestjs/terminus';
import { Public } from '@pangalactic/auth';
import { DrainCoordinator } from './drain-coordinator';
import { READINESS_CHECKS, type ReadinessCheck } from './readiness';

interface Reply {
  status(code: number): unknown;
}

@Public()
@Controller()
export class HealthController implements OnModuleInit {
  private indicators: HealthIndicatorFunction[] = [];

  constructor(
    private readonly modules: ModuleRef,
    private readonly health: HealthCheckService,
    private readonly indicator: HealthIndicatorService,
    private readonly drain: DrainCoordinator,
  ) {}

  onModuleInit(): void {
    const lifecycle: ReadinessCheck = {
      name: 'lifecycle',
      check: () => (this.drain.state === 'SERVING' ? null : this.drain.state.toLowerCase()),
    };
    this.indicators = [lifecycle, ...this.providedChecks()].map((check) => () => this.report(check));
  }

  /** Only says that the process runs. */
  @Get('healthz')
  @Header('content-type', 'application/json; charset=utf-8')
  live(): string {
    return '{"alive": true}';
  }

  @Get('readyz')
  @Header('content-type', 'application/json; charset=utf-8')
  @Header('cache-control', 'no-store')
  async ready(@Res({ passthrough: true }) reply: Reply): Promise<string> {
    const reasons = await this.reasonsAgainst();
    // Written out: the contract has a space that JSON.stringify leaves out.
    if (reasons.length === 0) return '{"ready": true}';
    reply.status(HttpStatus.SERVICE_UNAVAILABLE);
    return `{"ready": false, "reasons": ${JSON.stringify(reasons)}}`;
  }

  private async reasonsAgainst(): Promise<string[]> {
    try {
      await this.health.check(this.indicators);
      return [];
    } catch (error) {
      if (!(error instanceof ServiceUnavailableException)) throw error;
      const { error: failed } = error.getResponse() as HealthCheckResult;
      return Object.values(failed ?? {}).map((indicator) => String(indicator?.reason));
    }
  }

  /** Terminus turns anything thrown in an indicator into a 500, so nothing may be. */
  private async report(check: ReadinessCheck) {
    const session = this.indicator.check(check.name);
    const reason = await Promise.resolve()
      .then(() => check.check())
      .catch((error: unknown) => `${check.name}: ${error instanceof Error ? error.message : String(error)}`);
    return reason === null ? session.up() : session.down({ reason });
  }

  private providedChecks(): ReadinessCheck[] {
    try {
      return this.modules.get<ReadinessCheck[]>(READINESS_CHECKS, { strict: false, each: true }).flat();
    } catch {
      // Nest throws when no module provides any: an application without conditions of its own.
      return [];
    }
  }
}
