import {
  type HopRequest,
  type HopResponse,
  PangalacticError,
  type PipelineFault,
  type ResultsResponse,
  ShardState,
  type ShardStatus,
  type StageTimes,
} from '@pangalactic/contracts';
import { BatchScheduler, type InferenceProvider, type Shard, stepsInFlightLimit } from '@pangalactic/inference';
import type { ModelDescription } from '@pangalactic/models';
import type { ClusterToken, Duplex } from '@pangalactic/transport';
import type { StageMetrics } from '../metrics/stage-metrics';
import type { LocatedModel } from '../models/model-inventory.service';
import { feedStage } from './feed-stage';
import type { HopReceiver } from './hop-receiver';
import { LinkMeter } from './link-meter';
import { Neighbour } from './neighbour';
import { brokenError, connectionLost, FaultReport, faultOf } from './pipeline-fault';
import { PipelineHead } from './pipeline-head';
import { LocalResults, RemoteResults } from './results-sender';
import type { StageAssignment } from './stage-assignment';
import type { StageOutput, StageSink } from './stage-message';
import { StageRunner } from './stage-runner';
import { StepDeadline, type StepDeadlineOptions } from './step-deadline';
import { phaseOf, StepTimes } from './step-times';
import { StepWatchdog } from './step-watchdog';
import { warmUp } from './warm-up';

export interface PipelineOptions {
  readonly assignment: StageAssignment;
  readonly findModel: (fingerprint: string) => Promise<LocatedModel>;
  readonly provider: InferenceProvider;
  readonly clusterToken: ClusterToken | undefined;
  /** See NeighbourOptions. */
  readonly loadStallMs: number;
  readonly silenceMs: number;
  /** Sequences that may wait at the head for a slot. */
  readonly queueLimit: number;
  readonly stepDeadline: StepDeadlineOptions;
  readonly onStatus: (pipeline: Pipeline) => void;
  readonly metrics: StageMetrics;
  /** Work that a shutdown waits for, until the returned function is called. */
  readonly beginWork: () => () => void;
}

/**
 * One pipeline as far as this node takes part: it loads its stage, joins it to the neighbours and runs it until the hub
 * unloads it or anything at all goes wrong. All stages are one failure domain: a pipeline breaks once, for good, and
 * tells its neighbours on both sides which stage is to blame; they pass that on.
 */
export class Pipeline {
  readonly times = new StepTimes();
  /** On the head's node, once the stage has loaded. */
  head: PipelineHead | undefined;
  model: ModelDescription | undefined;
  /** To the next stage. */
  link: LinkMeter | undefined;

  private state = ShardState.SHARD_STATE_LOADING;
  private progress = 0;
  /** Of the stages behind this one, as far as they told. */
  private progressBehind = 0;
  private fault: PipelineFault | undefined;
  private shard: Shard | undefined;
  private loading: Promise<Shard> | undefined;
  private readonly givingUp = new AbortController();
  private runner: StageRunner | undefined;
  private endWork: (() => void) | undefined;
  private results: RemoteResults | undefined;
  private hopTaken = false;
  private readonly neighbours: Neighbour[] = [];
  private farewell: Promise<unknown> = Promise.resolve();
  private readonly ended: Promise<PipelineFault>;
  private end: (fault: PipelineFault) => void = () => undefined;

  constructor(private readonly options: PipelineOptions) {
    this.ended = new Promise((resolve) => (this.end = resolve));
  }

  get id(): string {
    return this.options.assignment.spec.id;
  }

  get assignment(): StageAssignment {
    return this.options.assignment;
  }

  get slotsInUse(): number {
    return this.runner?.slotsInUse ?? 0;
  }

  get status(): ShardStatus {
    const { id, state, progress, fault } = this;
    return { pipelineId: id, state, progress, fault, memoryBytes: this.shard?.memoryBytes ?? 0 };
  }

  get stageTimes(): StageTimes {
    const { decodeStepMs, singleDecodeMs, prefillTokenMs } = this.times;
    const runningSequences = this.head?.scheduler.runningSequences ?? 0;
    const idleMs = this.head && Math.floor(this.head.idleMs);
    return { pipelineId: this.id, decodeStepMs, singleDecodeMs, prefillTokenMs, runningSequences, idleMs };
  }

  /** Why the pipeline takes no work right now; undefined when it is ready. */
  get refusal(): PangalacticError | undefined {
    if (this.fault) return brokenError(this.id, this.fault);
    if (this.state === ShardState.SHARD_STATE_READY) return undefined;
    return this.notReady();
  }

  /** Never rejects: what goes wrong breaks the pipeline. */
  async start(): Promise<void> {
    try {
      this.options.onStatus(this);
      await this.load();
      await this.join();
      if (this.fault) return;
      this.progress = 1;
      this.state = ShardState.SHARD_STATE_READY;
      this.options.onStatus(this);
    } catch (error) {
      this.breakBy(error);
    }
  }

  /** The hop from the stage before, until the pipeline ends. A stage that is not there yet says how far it is. */
  async serveHop(channel: Duplex<HopResponse, HopRequest>, receiver: HopReceiver): Promise<void> {
    if (!this.fault) {
      const { runner } = this;
      if (!runner) return channel.send({ loading: { progress: this.progress + this.progressBehind } });
      if (this.hopTaken) throw new PangalacticError('invalid_request', `pipeline ${this.id} has its hop already`);
      this.hopTaken = true;
      await channel.send({ ready: {} }).catch(() => undefined);
      void this.readHop(channel, receiver, runner);
    }
    await channel.send({ fault: await this.ended }).catch(() => undefined);
  }

  /** The tail's results for the head, until the pipeline ends. Throws while the stage is not there yet. */
  async *serveResults(signal: AbortSignal): AsyncGenerator<ResultsResponse> {
    if (this.fault) {
      yield { fault: this.fault };
      return;
    }
    this.requireRunner();
    if (!this.results) throw new PangalacticError('invalid_request', `pipeline ${this.id} has no results to read here`);
    const queue = this.results.open();
    void this.ended.then((fault) => {
      queue.push({ fault });
      queue.end();
    });
    signal.addEventListener('abort', () => this.breakBy(connectionLost(), 0));
    yield* queue;
  }

  /** Ends the pipeline for a reason of this node, and tells the other stages. */
  async stop(reason: string): Promise<void> {
    this.breakBy(new PangalacticError('service_unavailable', reason));
    await this.farewell;
  }

  /** Ends the pipeline if it still runs, and waits until its memory is free. */
  async unload(reason: string): Promise<void> {
    void this.stop(reason);
    await this.freeMemory();
    this.options.metrics.end();
    this.state = ShardState.SHARD_STATE_GONE;
    this.options.onStatus(this);
  }

  /** The first fault counts; the rest is its echo. */
  private break(fault: PipelineFault): void {
    if (this.fault) return;
    this.fault = fault;
    this.state = ShardState.SHARD_STATE_BROKEN;
    this.end(fault);
    this.head?.fail(brokenError(this.id, fault));
    this.endWork?.();
    this.givingUp.abort(brokenError(this.id, fault));
    void this.freeMemory();
    this.farewell = Promise.all(this.neighbours.map((neighbour) => neighbour.close(fault)));
    this.options.onStatus(this);
  }

  private async load(): Promise<void> {
    const { assignment, findModel, provider } = this.options;
    const { fingerprint, contextLength, maxSequences } = assignment.spec;
    const { path, description } = await findModel(fingerprint);
    if (this.fault) return;
    this.model = description;
    const spec = { modelPath: path, fingerprint, layers: assignment.layers, contextLength, maxSequences };
    this.loading = provider.load(spec, (fraction) => this.report(fraction), this.givingUp.signal);
    this.shard = await this.loading;
  }

  /** A load that is still running gives up and frees what it made. */
  private async freeMemory(): Promise<void> {
    await this.loading?.then((shard) => shard.unload()).catch(() => undefined);
  }

  /** Connects what comes after this stage; only then may anything come in. */
  private async join(): Promise<void> {
    const { isHead, isTail, stage } = this.assignment;
    const { shard, model } = this;
    if (!shard || !model || this.fault) return;
    const sink = isTail ? this.resultsSink() : await this.openHop(stage + 1);
    // From here on nothing waits, so that what breaks the pipeline meanwhile meets all of it or none.
    if (this.fault) return;
    this.runner = new StageRunner(shard, sink, {
      onCommand: () => this.trackWork(),
      onOutput: (output) => this.observe(output),
      onFailure: (error) => this.breakBy(error),
    });
    if (!isHead) return;
    this.head = this.createHead(this.runner, model);
    if (!isTail)
      await this.neighbour(this.assignment.spec.stages.length - 1).openResults((r) => this.head?.onResult(r));
    await warmUp(this.head, model.bosId ?? 0);
  }

  private async openHop(stage: number): Promise<StageSink> {
    const neighbour = this.neighbour(stage);
    const hop = await neighbour.openHop((progress) => (this.progressBehind = progress));
    this.link = new LinkMeter((rounds) => neighbour.measureLink(rounds));
    void this.link.run(this.givingUp.signal);
    return hop;
  }

  private resultsSink(): StageSink {
    if (this.assignment.isHead) return new LocalResults((result) => this.head?.onResult(result));
    const { maxSequences, stages } = this.assignment.spec;
    this.results = new RemoteResults(stepsInFlightLimit({ slots: maxSequences, stages: stages.length }));
    return this.results;
  }

  private createHead(runner: StageRunner, model: ModelDescription): PipelineHead {
    const { spec } = this.assignment;
    const scheduler = new BatchScheduler({
      slots: spec.maxSequences,
      contextLength: spec.contextLength,
      stages: spec.stages.length,
      queueLimit: this.options.queueLimit,
      endOfGenerationIds: model.endOfGenerationIds,
    });
    const watchdog = new StepWatchdog(new StepDeadline(this.options.stepDeadline), (reason) =>
      this.breakBy(new PangalacticError('deadline_exceeded', reason)),
    );
    return new PipelineHead(scheduler, runner, watchdog, {
      onProfile: (profile) => this.options.metrics.profile(profile),
      onFailure: (error) => this.breakBy(error),
    });
  }

  private neighbour(stage: number): Neighbour {
    const { clusterToken, loadStallMs, silenceMs } = this.options;
    const { spec, stage: ownStage } = this.assignment;
    if (this.fault) throw new FaultReport(this.fault);
    const options = { spec, ownStage, stage, clusterToken, loadStallMs, silenceMs, now: () => performance.now() };
    const neighbour = new Neighbour(options, (error) => this.breakBy(error, stage));
    this.neighbours.push(neighbour);
    return neighbour;
  }

  private async readHop(
    channel: Duplex<HopResponse, HopRequest>,
    receiver: HopReceiver,
    runner: StageRunner,
  ): Promise<void> {
    const { assignment } = this;
    const { stage, activations } = assignment;
    const lost = (cause?: unknown) => new FaultReport(faultOf(connectionLost(cause), assignment, stage - 1));
    const next = async () => {
      const request = await channel.next().catch((error: unknown) => {
        throw lost(error);
      });
      if (request.done) throw lost();
      return receiver.message(request.value, activations, this.model?.hiddenSize ?? 0);
    };
    await feedStage(next, (message) => runner.push(message)).catch((error: unknown) => this.breakBy(error));
  }

  private trackWork(): void {
    // What a broken stage still applies is nothing to wait for.
    if (this.fault) return;
    if (this.slotsInUse === 0) {
      this.endWork?.();
      this.endWork = undefined;
    } else {
      this.endWork ??= this.options.beginWork();
    }
  }

  private observe({ rows, computeMs }: StageOutput): void {
    this.times.observe(rows, computeMs);
    this.options.metrics.step(phaseOf(rows), computeMs);
  }

  private report(fraction: number): void {
    if (this.fault || fraction < this.progress + 0.05) return;
    this.progress = fraction;
    this.options.onStatus(this);
  }

  private requireRunner(): StageRunner {
    if (this.runner) return this.runner;
    throw this.notReady();
  }

  private notReady(): PangalacticError {
    return new PangalacticError('model_not_ready', `pipeline ${this.id} is still loading`, { retryAfterSeconds: 1 });
  }

  /** @param stage is to blame, unless the error names another one; by default this one */
  private breakBy(error: unknown, stage?: number): void {
    this.break(faultOf(error, this.assignment, stage));
  }
}
