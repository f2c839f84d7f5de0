import { Inject, Injectable, Logger, type OnApplicationShutdown } from '@nestjs/common';
import { NODE_CONFIG, type NodeConfig } from '@pangalactic/config';
import {
  type LinkTimes,
  type LoadShard,
  PangalacticError,
  type PipelineSpec,
  ShardState,
  type ShardStatus,
  type StageTimes,
  toPangalacticError,
} from '@pangalactic/contracts';
import { INFERENCE_PROVIDER, type InferenceProvider } from '@pangalactic/inference';
import { DrainCoordinator } from '@pangalactic/lifecycle';
import { NodeMetrics } from '../metrics/node-metrics';
import { NodeIdentity } from '../membership/node-identity';
import { ModelInventory } from '../models/model-inventory.service';
import { Pipeline } from './pipeline';
import { stageAssignment } from './stage-assignment';
import { STEP_DEADLINE, type StepDeadlineOptions } from './step-deadline';

/** A stage that loads elsewhere without progress is given up after this long, as by the hub. */
const LOAD_STALL_MS = 600_000;
/** One that does not even answer: the hub takes only nodes that are up, so the way there is cut or its process stands still. */
const SILENCE_MS = 15_000;
/** Sequences that wait for a slot at a head; gateways queue too, and choose where. */
const QUEUE_LIMIT = 64;
const SHUTTING_DOWN = 'the node is shutting down';

export type StatusListener = (status: ShardStatus) => void;

/** The pipelines that this node serves a stage of. They outlive any session with the hub. */
@Injectable()
export class PipelineRegistry implements OnApplicationShutdown {
  private readonly logger = new Logger('pipelines');
  private readonly pipelines = new Map<string, Pipeline>();
  private readonly listeners = new Set<StatusListener>();
  /** Progress is told but not logged: one line per state. */
  private readonly logged = new WeakMap<Pipeline, ShardState>();

  constructor(
    @Inject(NODE_CONFIG) private readonly config: NodeConfig,
    @Inject(INFERENCE_PROVIDER) private readonly provider: InferenceProvider,
    private readonly identity: NodeIdentity,
    private readonly inventory: ModelInventory,
    private readonly drain: DrainCoordinator,
    private readonly metrics: NodeMetrics,
    @Inject(STEP_DEADLINE) private readonly stepDeadline: StepDeadlineOptions,
  ) {
    metrics.observePipelines(() => [...this.pipelines.values()]);
    // Before the calls of the other stages end, so that they hear the reason instead of a lost connection.
    drain.closing.addEventListener('abort', () => void this.stopAll(), { once: true });
  }

  /** Every shard that this node holds or holds a verdict on. */
  statuses(): ShardStatus[] {
    return [...this.pipelines.values()].map((pipeline) => pipeline.status);
  }

  stageTimes(): StageTimes[] {
    return [...this.pipelines.values()].filter((pipeline) => !pipeline.refusal).map((pipeline) => pipeline.stageTimes);
  }

  links(): LinkTimes[] {
    return [...this.pipelines.values()].flatMap(({ link }) => link?.times ?? []);
  }

  /** @returns takes the listener away again */
  onStatus(listener: StatusListener): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  /** @throws PangalacticError `pipeline_not_found` */
  require(pipelineId: string): Pipeline {
    const pipeline = this.pipelines.get(pipelineId);
    if (!pipeline) {
      throw new PangalacticError('pipeline_not_found', `node ${this.identity.id} has no pipeline "${pipelineId}"`);
    }
    return pipeline;
  }

  /** Begins to load; the outcome is told by status. Repeating a command only repeats the status. */
  load({ pipeline: spec, stage }: LoadShard): void {
    const known = spec && this.pipelines.get(spec.id);
    if (known) return this.tell(known.status);
    try {
      const pipeline = this.create(spec, stage);
      this.pipelines.set(pipeline.id, pipeline);
      void pipeline.start();
    } catch (error) {
      const { message } = toPangalacticError(error);
      this.logger.warn({ event: 'load_refused', pipelineId: spec?.id, reason: message });
      if (spec) this.tell(refused(spec.id, stage, this.identity.id, message));
    }
  }

  async unload(pipelineId: string, reason = 'the hub unloaded the pipeline'): Promise<void> {
    const pipeline = this.pipelines.get(pipelineId);
    if (!pipeline) return this.tell({ ...GONE, pipelineId });
    await pipeline.unload(reason);
    this.pipelines.delete(pipelineId);
  }

  async unloadAll(reason: string): Promise<void> {
    await Promise.all([...this.pipelines.keys()].map((id) => this.unload(id, reason)));
  }

  /** Native memory is freed before the process ends. */
  async onApplicationShutdown(): Promise<void> {
    await this.stopAll();
    await this.unloadAll(SHUTTING_DOWN);
    await this.provider.close();
  }

  private async stopAll(): Promise<void> {
    await Promise.all([...this.pipelines.values()].map((pipeline) => pipeline.stop(SHUTTING_DOWN)));
  }

  private create(spec: PipelineSpec | undefined, stage: number): Pipeline {
    const assignment = stageAssignment(spec, stage, this.identity.id);
    const metrics = this.metrics.stage(assignment);
    return new Pipeline({
      assignment,
      findModel: (fingerprint) => this.inventory.locate(fingerprint),
      provider: this.provider,
      clusterToken: this.config.clusterToken,
      ...{ loadStallMs: LOAD_STALL_MS, silenceMs: SILENCE_MS },
      queueLimit: QUEUE_LIMIT,
      stepDeadline: this.stepDeadline,
      onStatus: (pipeline) => this.announce(pipeline),
      metrics,
      beginWork: () => this.drain.begin(),
    });
  }

  private announce(pipeline: Pipeline): void {
    const { status } = pipeline;
    if (this.logged.get(pipeline) !== status.state) this.log(pipeline, status);
    this.logged.set(pipeline, status.state);
    this.tell(status);
  }

  private log(
    { assignment: { stage, layers } }: Pipeline,
    { pipelineId, state, fault, memoryBytes }: ShardStatus,
  ): void {
    this.logger.log({
      event: `shard_${STATE_NAMES[state]}`,
      pipelineId,
      stage,
      layers: [layers.from, layers.to],
      ...(memoryBytes > 0 ? { memoryBytes } : {}),
      ...(fault ? { fault } : {}),
    });
  }

  private tell(status: ShardStatus): void {
    for (const listener of this.listeners) listener(status);
  }
}

const STATE_NAMES: Readonly<Record<ShardState, string>> = {
  [ShardState.SHARD_STATE_UNSPECIFIED]: 'unspecified',
  [ShardState.SHARD_STATE_LOADING]: 'loading',
  [ShardState.SHARD_STATE_READY]: 'ready',
  [ShardState.SHARD_STATE_BROKEN]: 'broken',
  [ShardState.SHARD_STATE_GONE]: 'gone',
  [ShardState.UNRECOGNIZED]: 'unrecognized',
};

const GONE = { state: ShardState.SHARD_STATE_GONE, progress: 0, fault: undefined, memoryBytes: 0 };

function refused(pipelineId: string, stage: number, nodeId: string, reason: string): ShardStatus {
  const fault = { stage, nodeId, reason, noticedBy: nodeId };
  return { pipelineId, state: ShardState.SHARD_STATE_BROKEN, progress: 0, fault, memoryBytes: 0 };
}
