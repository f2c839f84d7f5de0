import { setTimeout as delay } from 'node:timers/promises';
import {
  type ErrorCode,
  type LinkTimes,
  PangalacticError,
  type PipelineFault,
  type PipelineSpec,
  type ResultsResponse,
  toPangalacticError,
} from '@pangalactic/contracts';
import {
  activationCodec,
  Backoff,
  type ClusterToken,
  connectNode,
  type NodeClient,
  type ServerStream,
} from '@pangalactic/transport';
import { HopSender } from './hop-sender';
import { probeLink } from './link-probe';
import { LoadPatience } from './load-patience';
import { connectionLost, FaultReport, faultOf } from './pipeline-fault';

/** Of one attempt to open a stream: the peer answers at once or is not ready yet. */
const ATTEMPT_TIMEOUT_MS = 10_000;

/** The peer is not up, has not heard of the pipeline or is still loading. */
const NOT_YET: ReadonlySet<ErrorCode> = new Set([
  'service_unavailable',
  'pipeline_not_found',
  'model_not_ready',
  'deadline_exceeded',
]);
/** Nobody has answered. */
const SILENCE: ReadonlySet<ErrorCode> = new Set(['service_unavailable', 'deadline_exceeded']);

/** How long a connection outlives its pipeline. The neighbour ends the streams as soon as it has read the fault. */
const FAREWELL_MS = 2_000;

export interface NeighbourOptions {
  readonly spec: PipelineSpec;
  /** The stage that dials. */
  readonly ownStage: number;
  /** The stage that is dialled. */
  readonly stage: number;
  readonly clusterToken: ClusterToken | undefined;
  /** A neighbour that makes no progress for this long while it loads is given up. */
  readonly loadStallMs: number;
  /** One that does not even answer for this long is given up, too. */
  readonly silenceMs: number;
  /** A monotonic clock, in milliseconds. */
  readonly now: () => number;
}

/** Another stage of the pipeline, as this one dials it. What goes wrong later is told to `onFailure`, once. */
export class Neighbour {
  private readonly client: NodeClient;
  private readonly closing = new AbortController();
  private hop: HopSender | undefined;
  /** Settles with the stream that is open or being opened. */
  private stream: Promise<unknown> = Promise.resolve();

  constructor(
    private readonly options: NeighbourOptions,
    private readonly onFailure: (error: unknown) => void,
  ) {
    const address = options.spec.stages[options.stage]?.address ?? '';
    this.client = connectNode(address, { clusterToken: options.clusterToken });
  }

  /**
   * The hop into that stage, open and ready.
   * @param onLoading what the stages from there on have loaded so far
   */
  openHop(onLoading: (progress: number) => void): Promise<HopSender> {
    return this.untilLoaded(async (patience) => {
      const channel = this.client.hop();
      const { spec, stage } = this.options;
      const sender = new HopSender(channel, activationCodec(spec.activationFormat));
      this.hop = sender;
      await this.attempt(channel, async () => {
        await sender.open({ pipelineId: spec.id, stage, activationFormat: spec.activationFormat });
        const { ready, fault, loading } = await first(channel);
        if (loading) {
          patience.progress(loading.progress, this.options.now());
          onLoading(loading.progress);
          throw new PangalacticError('model_not_ready', 'it made no progress while loading');
        }
        if (!ready) throw fault ? new FaultReport(fault) : unexpected('hop');
      });
      // Nothing but a fault follows on a hop.
      this.watch(channel, ({ fault }) => {
        throw fault ? new FaultReport(fault) : unexpected('answer');
      });
      return sender;
    });
  }

  /** The results of that stage, the tail. They are read as they come, whatever else waits. */
  openResults(onResult: (result: NonNullable<ResultsResponse['result']>) => void): Promise<void> {
    return this.untilLoaded(async () => {
      const stream = this.client.results({ pipelineId: this.options.spec.id });
      await this.attempt(stream, async () => {
        const { ready, fault } = await first(stream);
        if (!ready) throw fault ? new FaultReport(fault) : unexpected('results stream');
      });
      this.watch(stream, ({ result, fault }) => {
        if (fault) throw new FaultReport(fault);
        if (result) onResult(result);
      });
    });
  }

  /** What the way there takes. The hop must be open. */
  measureLink(rounds: number): Promise<LinkTimes | undefined> {
    const { spec, stage, now } = this.options;
    const { fingerprint, stages } = spec;
    return probeLink(this.client, { nodeId: stages[stage]?.nodeId ?? '', fingerprint, rounds }, now);
  }

  /** Passes the fault on, waits until the neighbour has ended its streams because of it, and closes the connection. */
  async close(fault: PipelineFault): Promise<void> {
    this.closing.abort();
    this.hop?.fault(fault);
    await Promise.race([this.stream, delay(FAREWELL_MS, undefined, { ref: false })]);
    this.client.close();
  }

  private async untilLoaded<T>(open: (patience: LoadPatience) => Promise<T>): Promise<T> {
    const { spec, ownStage, stage, loadStallMs, silenceMs, now } = this.options;
    const { signal } = this.closing;
    const patience = new LoadPatience(loadStallMs, silenceMs, now());
    const backoff = new Backoff({ initialMs: 50, maxMs: 1_000, random: Math.random });
    for (;;) {
      try {
        const opening = open(patience);
        this.stream = opening.catch(() => undefined);
        return await opening;
      } catch (error) {
        const { code } = toPangalacticError(error);
        const retryable = !(error instanceof FaultReport) && NOT_YET.has(code);
        if (!SILENCE.has(code)) patience.heard(now());
        if (signal.aborted || !retryable || patience.isOver(now())) {
          throw new FaultReport(faultOf(error, { spec, stage: ownStage }, stage));
        }
      }
      await delay(backoff.nextDelayMs(), undefined, { signal });
    }
  }

  private async attempt(stream: ServerStream<unknown>, handshake: () => Promise<void>): Promise<void> {
    const late = new PangalacticError('deadline_exceeded', `${this.client.address} did not answer`);
    const timer = setTimeout(() => stream.cancel(late), ATTEMPT_TIMEOUT_MS);
    try {
      await handshake();
    } catch (error) {
      stream.cancel();
      throw error;
    } finally {
      clearTimeout(timer);
    }
  }

  private watch<T>(stream: ServerStream<T>, take: (message: T) => void): void {
    const reading = async (): Promise<never> => {
      for (;;) take(await following(stream));
    };
    this.stream = reading().catch((error: unknown) => this.onFailure(error));
  }
}

async function first<T>(stream: ServerStream<T>): Promise<T> {
  const next = await stream.next();
  if (next.done) throw new PangalacticError('service_unavailable', 'it ended the stream');
  return next.value;
}

/** Once a stream is open, whatever ends it without a fault is the end of the other process. */
function following<T>(stream: ServerStream<T>): Promise<T> {
  return first(stream).catch((error: unknown) => {
    throw connectionLost(error);
  });
}

function unexpected(what: string): PangalacticError {
  return new PangalacticError('invalid_frame', `its ${what} did not begin with ready`);
}
