import { Module, type DynamicModule } from '@nestjs/common';
import { TerminusModule } from '@nestjs/terminus';
import { GrpcServerHandle } from '@pangalactic/transport';
import { DEFAULT_DRAIN_OPTIONS, DRAIN_OPTIONS, DrainCoordinator, type DrainOptions } from './drain-coordinator';
import { HealthController } from './health.controller';

/** Drain, health and readiness of the process; global, and imported by createApp. */
@Module({})
export class LifecycleModule {
  static forRoot(options: Partial<DrainOptions> = {}): DynamicModule {
    return {
      module: LifecycleModule,
      global: true,
      imports: [TerminusModule.forRoot({ logger: false })],
      controllers: [HealthController],
      providers: [
        { provide: DRAIN_OPTIONS, useValue: { ...DEFAULT_DRAIN_OPTIONS, ...options } },
        GrpcServerHandle,
        DrainCoordinator,
      ],
      exports: [DrainCoordinator, GrpcServerHandle],
    };
  }
}
