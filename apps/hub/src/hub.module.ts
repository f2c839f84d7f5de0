import { Module, type DynamicModule } from '@nestjs/common';
import { HUB_CONFIG, type HubConfig } from '@pangalactic/config';
import { READINESS_CHECKS, type ReadinessCheck } from '@pangalactic/lifecycle';
import { loggingModule, metricsModule } from '@pangalactic/observability';
import { openConfiguredState, STATE_REPOSITORY } from '@pangalactic/state';
import { CLOCK, steadyClock } from './clock';
import { ClusterController } from './cluster/cluster.controller';
import { Commander } from './cluster/commander';
import { FailureDetector } from './cluster/failure-detector';
import { endProcess, FATAL_HANDLER } from './cluster/fatal-handler';
import { HubAddress } from './cluster/hub-address';
import { LeaderElection } from './cluster/leader-election';
import { NodeDrain } from './cluster/node-drain';
import { ModelsController } from './models/models.controller';
import { ModelWishes } from './models/model-wishes';
import { Wishes } from './cluster/wishes';
import { Reconciler } from './cluster/reconciler';
import { Standby } from './cluster/standby';
import { StateReadiness } from './cluster/state-readiness';
import { HubMetrics } from './metrics/hub-metrics';
import { measuredState } from './metrics/measured-state';
import { RateLimit } from './rate-limit/rate-limit';
import { RateLimitController } from './rate-limit/rate-limit.controller';
import { NodeProbe } from './registry/node-probe';
import { NodeRegistry } from './registry/node-registry';
import { NodeSessionController } from './registry/node-session.controller';
import { NodeSessionService } from './registry/node-session.service';
import { RouteTable } from './routes/route-table';
import { RoutesController } from './routes/routes.controller';
import { ClusterStore } from './state/cluster-store';

@Module({})
export class HubModule {
  static forRoot(config: HubConfig): DynamicModule {
    return {
      module: HubModule,
      imports: [loggingModule('hub', config.logLevel), metricsModule('hub')],
      controllers: [
        ...[NodeSessionController, RoutesController, ClusterController],
        ...[ModelsController, RateLimitController],
      ],
      providers: [
        { provide: HUB_CONFIG, useValue: config },
        { provide: CLOCK, useValue: steadyClock },
        { provide: FATAL_HANDLER, useValue: endProcess },
        {
          provide: STATE_REPOSITORY,
          useFactory: async (metrics: HubMetrics) =>
            measuredState(await openConfiguredState(config), config.stateBackend, metrics),
          inject: [HubMetrics],
        },
        ClusterStore,
        HubMetrics,
        NodeRegistry,
        NodeProbe,
        NodeSessionService,
        Commander,
        Reconciler,
        HubAddress,
        Standby,
        LeaderElection,
        Wishes,
        NodeDrain,
        ModelWishes,
        FailureDetector,
        RouteTable,
        RateLimit,
        StateReadiness,
        {
          provide: READINESS_CHECKS,
          useFactory: (state: StateReadiness): ReadinessCheck[] => [state],
          inject: [StateReadiness],
        },
      ],
    };
  }
}
