import { type DynamicModule, Logger, Module, type Provider } from '@nestjs/common';
import { NODE_CONFIG, type NodeConfig } from '@pangalactic/config';
import { toPangalacticError } from '@pangalactic/contracts';
import { INFERENCE_PROVIDER, type InferenceProvider, MockProvider, TransformersProvider } from '@pangalactic/inference';
import { READINESS_CHECKS, type ReadinessCheck } from '@pangalactic/lifecycle';
import { loggingModule, metricsModule } from '@pangalactic/observability';
import { GenerationService } from './generation/generation.service';
import { DEFAULT_READER_LIMITS, READER_LIMITS } from './generation/generation';
import { NodeMetrics } from './metrics/node-metrics';
import { unusableGpu, usedGpu } from './membership/compute-device';
import { HubSession } from './membership/hub-session.service';
import { NodeIdentity } from './membership/node-identity';
import { OFFERED_MEMORY, offeredMemory } from './membership/node-memory';
import { ModelInventory } from './models/model-inventory.service';
import { NodeController } from './node.controller';
import { PipelineRegistry } from './pipeline/pipeline-registry.service';
import { DEFAULT_STEP_DEADLINE, STEP_DEADLINE } from './pipeline/step-deadline';

/**
 * The engine checks itself when it is created. What it finds on the CPU makes it slower, never wrong, and is logged.
 * @throws PangalacticError `unsupported_compute_type` when there is no GPU that computes as it should
 */
async function createProvider(config: NodeConfig): Promise<InferenceProvider> {
  const { inferenceBackend, threads, cacheDirectory: cacheDir } = config;
  if (inferenceBackend === 'mock') return new MockProvider();
  const logger = new Logger('engine');
  const onWarning = (warning: string) => logger.warn({ event: 'engine_warning', warning });
  const gpu = usedGpu(config);
  try {
    return await TransformersProvider.create({ device: gpu ? 'gpu' : 'cpu', threads, cacheDir, onWarning });
  } catch (error) {
    if (gpu && toPangalacticError(error).code === 'unsupported_compute_type') throw unusableGpu(gpu, error);
    throw error;
  }
}

const readiness: Provider = {
  provide: READINESS_CHECKS,
  inject: [HubSession],
  useFactory: (session: HubSession): ReadinessCheck[] => [
    { name: 'hub', check: () => (session.registeredOnce ? null : 'not registered with the hub yet') },
  ],
};

@Module({})
export class NodeModule {
  static forRoot(config: NodeConfig): DynamicModule {
    return {
      module: NodeModule,
      imports: [loggingModule('node', config.logLevel), metricsModule('node')],
      controllers: [NodeController],
      providers: [
        { provide: NODE_CONFIG, useValue: config },
        { provide: INFERENCE_PROVIDER, inject: [NODE_CONFIG], useFactory: createProvider },
        { provide: OFFERED_MEMORY, inject: [NODE_CONFIG], useFactory: offeredMemory },
        { provide: READER_LIMITS, useValue: DEFAULT_READER_LIMITS },
        { provide: STEP_DEADLINE, useValue: DEFAULT_STEP_DEADLINE },
        GenerationService,
        HubSession,
        ModelInventory,
        NodeIdentity,
        NodeMetrics,
        PipelineRegistry,
        readiness,
      ],
    };
  }
}
