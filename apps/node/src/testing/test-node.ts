import { mkdtemp, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import type { DynamicModule, Provider } from '@nestjs/common';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { formatAddress, loadNodeConfig, type NodeConfig } from '@pangalactic/config';
import { type PipelineSpec, repositoryRoot, ShardState, type ShardStatus } from '@pangalactic/contracts';
import { INFERENCE_PROVIDER, type InferenceProvider, MockProvider } from '@pangalactic/inference';
import { createApp, DrainCoordinator, startApp } from '@pangalactic/lifecycle';
import { freePort, until } from '@pangalactic/testing';
import { connectNode, type NodeClient } from '@pangalactic/transport';
import { DEFAULT_READER_LIMITS, READER_LIMITS, type ReaderLimits } from '../generation/generation';
import { ModelInventory } from '../models/model-inventory.service';
import { NODE_PROCESS } from '../node-process';
import { NodeModule } from '../node.module';
import { PipelineRegistry } from '../pipeline/pipeline-registry.service';
import { DEFAULT_STEP_DEADLINE, STEP_DEADLINE, type StepDeadlineOptions } from '../pipeline/step-deadline';

const MODEL_PATH = join(repositoryRoot(), 'models/pangalactic-nano.gguf');

export interface TestNodeOptions {
  readonly id: string;
  /** Called for each node: a node that closes unloads every shard of its provider. */
  readonly provider?: () => InferenceProvider;
  readonly readerLimits?: ReaderLimits;
  readonly stepDeadline?: StepDeadlineOptions;
  /** Variables beyond those that keep nodes of one process apart. */
  readonly environment?: Record<string, string>;
}

/** A whole node application on ports of its own, with real gRPC and, unless told otherwise, the mock engine. */
export class TestNode {
  readonly client: NodeClient;

  private constructor(
    readonly app: NestFastifyApplication,
    readonly config: NodeConfig,
    readonly id: string,
    private readonly directory: string,
  ) {
    this.client = connectNode(this.address, { clusterToken: config.clusterToken });
  }

  static async start(options: TestNodeOptions): Promise<TestNode> {
    const directory = await mkdtemp(join(tmpdir(), 'pangalactic-node-'));
    await symlink(MODEL_PATH, join(directory, basename(MODEL_PATH)));
    const config = loadNodeConfig({
      NODE_ID: options.id,
      NODE_BIND_ADDR: `127.0.0.1:${await freePort()}`,
      NODE_HTTP_ADDR: `127.0.0.1:${await freePort()}`,
      // Nobody there, unless a test has a hub: a node without one serves all the same.
      NODE_HUB_ADDR: `127.0.0.1:${await freePort()}`,
      NODE_GPU_COMPUTE_TYPE: 'cpu',
      NODE_MODEL_DIR: directory,
      NODE_CACHE_DIR: join(directory, 'cache'),
      NODE_DRAIN_TIMEOUT_S: '5',
      LOG_LEVEL: 'silent',
      ...options.environment,
    });
    const settings = { ...NODE_PROCESS, createModule: () => testModule(config, options) };
    const app = await createApp(settings, config);
    await startApp(app, settings, config);
    return new TestNode(app, config, options.id, directory);
  }

  get address(): string {
    return formatAddress(this.config.bindAddress);
  }

  get httpUrl(): string {
    return `http://${formatAddress(this.config.httpAddress)}`;
  }

  get pipelines(): PipelineRegistry {
    return this.app.get(PipelineRegistry);
  }

  get drain(): DrainCoordinator {
    return this.app.get(DrainCoordinator);
  }

  status(pipelineId: string): ShardStatus | undefined {
    return this.pipelines.statuses().find((status) => status.pipelineId === pipelineId);
  }

  async fingerprint(): Promise<string> {
    const [model] = this.app.get(ModelInventory).inventory.models;
    if (!model) throw new Error('the node found no model');
    return model.fingerprint;
  }

  async close(): Promise<void> {
    await this.app.close();
    this.client.close();
    await rm(this.directory, { recursive: true, force: true });
  }
}

/** The module of the process; a provider that comes later in the list replaces its namesake. */
function testModule(config: NodeConfig, options: TestNodeOptions): DynamicModule {
  const module = NodeModule.forRoot(config);
  const replacements: Provider[] = [
    { provide: INFERENCE_PROVIDER, useFactory: options.provider ?? (() => new MockProvider()) },
    { provide: READER_LIMITS, useValue: options.readerLimits ?? DEFAULT_READER_LIMITS },
    { provide: STEP_DEADLINE, useValue: options.stepDeadline ?? DEFAULT_STEP_DEADLINE },
  ];
  return { ...module, providers: [...(module.providers ?? []), ...replacements] };
}

export interface TestPipelineOptions {
  readonly id?: string;
  readonly contextLength?: number;
  readonly maxSequences?: number;
}

/** A pipeline of the nano model, its layers spread evenly over the nodes in their order. */
export async function pipelineSpec(
  nodes: readonly TestNode[],
  options: TestPipelineOptions = {},
): Promise<PipelineSpec> {
  const [first] = nodes;
  const [model] = first?.app.get(ModelInventory).inventory.models ?? [];
  if (!model) throw new Error('no node with a model');
  const cut = (index: number) => Math.round((model.layers * index) / nodes.length);
  return {
    id: options.id ?? 'p1',
    modelId: model.id,
    fingerprint: model.fingerprint,
    stages: nodes.map(({ id, address }, index) => ({
      nodeId: id,
      address,
      layers: { from: cut(index), to: cut(index + 1) },
      memoryBytes: 0,
    })),
    contextLength: options.contextLength ?? 256,
    maxSequences: options.maxSequences ?? 8,
  };
}

/** Commands every stage to load and waits until all of them are ready. */
export async function loadPipeline(
  nodes: readonly TestNode[],
  options: TestPipelineOptions = {},
): Promise<PipelineSpec> {
  const spec = await pipelineSpec(nodes, options);
  await loadSpecs(
    nodes,
    nodes.map(() => spec),
  );
  return spec;
}

/** The same with what each stage is told. */
export async function loadSpecs(nodes: readonly TestNode[], specs: readonly PipelineSpec[]): Promise<void> {
  nodes.forEach((node, stage) => {
    node.pipelines.load({ clusterId: 'c', term: 1, pipeline: specs[stage], stage });
  });
  for (const [stage, node] of nodes.entries()) {
    await untilState(node, specs[stage]?.id ?? '', ShardState.SHARD_STATE_READY);
  }
}

export function untilState(node: TestNode, pipelineId: string, state: ShardState): Promise<ShardStatus> {
  return until(
    () => {
      const status = node.status(pipelineId);
      return status?.state === state ? status : undefined;
    },
    {
      timeoutMs: 10_000,
      intervalMs: 5,
      message: () => `${node.id}: ${pipelineId} in state ${state}, is ${JSON.stringify(node.status(pipelineId))}`,
    },
  );
}
