import { Module } from '@nestjs/common';
import type { DynamicModule } from '@nestjs/common';
import { APP_FILTER } from '@nestjs/core';
import { AuthModule } from '@pangalactic/auth';
import { GATEWAY_CONFIG } from '@pangalactic/config';
import type { GatewayConfig } from '@pangalactic/config';
import { READINESS_CHECKS } from '@pangalactic/lifecycle';
import type { ReadinessCheck } from '@pangalactic/lifecycle';
import { loggingModule, metricsModule } from '@pangalactic/observability';
import { CLOCK, steadyClock } from './clock';
import { GenerationService } from './generation/generation.service';
import { SlicedWork } from './sliced-work';
import { RouteReadiness } from './health/route-readiness';
import { RequestTracker } from './http/request-tracker';
import { GatewayMetrics } from './metrics/gateway-metrics';
import { HeadProbe } from './models/head-probe';
import { ModelCache } from './models/model-cache';
import { NodeClients } from './models/node-clients';
import { ChatCompletionsController } from './openai/chat-completions.controller';
import { CompletionResponder } from './openai/completion-responder';
import { CompletionsController } from './openai/completions.controller';
import { ModelsController } from './openai/models.controller';
import { OpenAiErrorFilter } from './openai/openai-error.filter';
import { HubPermits } from './rate-limit/hub-permits';
import { LeadingHub } from './routing/leading-hub';
import { ModelLoads } from './routing/model-loads';
import { PipelineDispatcher } from './routing/pipeline-dispatcher';
import { RouteDirectory } from './routing/route-directory';
import { RouteWatcher } from './routing/route-watcher';

@Module({})
export class GatewayModule {
  static forRoot(config: GatewayConfig): DynamicModule {
    return {
      module: GatewayModule,
      imports: [
        loggingModule('gateway', config.logLevel),
        metricsModule('gateway'),
        AuthModule.forRoot(config, () => new HubPermits(config, steadyClock)),
      ],
      controllers: [ChatCompletionsController, CompletionsController, ModelsController],
      providers: [
        { provide: GATEWAY_CONFIG, useValue: config },
        { provide: CLOCK, useValue: steadyClock },
        { provide: APP_FILTER, useClass: OpenAiErrorFilter },
        GatewayMetrics,
        RequestTracker,
        RouteDirectory,
        RouteWatcher,
        LeadingHub,
        ModelLoads,
        PipelineDispatcher,
        NodeClients,
        HeadProbe,
        ModelCache,
        SlicedWork,
        GenerationService,
        CompletionResponder,
        RouteReadiness,
        {
          provide: READINESS_CHECKS,
          useFactory: (routes: RouteReadiness): ReadinessCheck[] => [routes],
          inject: [RouteReadiness],
        },
      ],
    };
  }
}
