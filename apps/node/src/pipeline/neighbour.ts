import { setTimeout as delay } from 'node:timers/promises';
import {
  type ErrorCode,
  PangalacticError,
  type PipelineSpec,
  type ResultsResponse,
  toPangalacticError,
} from '@pangalactic/contracts';
import { Backoff, connectNode, type NodeClient, type ServerStream } from '@pangalactic/transport';
import { HopSender } from './hop-sender';
import { FaultReport, faultOf } from './pipeline-fault';

/** Of one attempt to open a stream: the peer answers at once or is not ready yet. */
const ATTEMPT_TIMEOUT_MS = 10_000;

/** The peer is not up, has not heard of the pipeline or is still loading. */
const NOT_YET: ReadonlySet<ErrorCode> = new Set([
  'service_unavailable',
  'pipeline_not_found',
  'model_not_ready',
  'deadline_exceeded',
]);

export interface NeighbourOptions {
  readonly spec: PipelineSpec;
  /** The stage that is dialled. */
  readonly stage: number;
  readonly clusterToken: string;
  /** By then the neighbour must have loaded. */
  readonly loadDeadlineMs: number;
  /** Ends the connection and every attempt to make it. */
  readonly signal: AbortSignal;
}

/** Another stage of the pipeline, as this one dials it. What goes wrong later is told to `onFailure`, once. */
export class Neighbour {
  private readonly client: NodeClient;

  constructor(
    private readonly options: NeighbourOptions,
    private readonly onFailure: (error: unknown) => void,
  ) {
    const address = options.spec.stages[options.stage]?.address ?? '';
    this.client = connectNode(address, { clusterToken: options.clusterToken });
    options.signal.addEventListener('abort', () => this.client.close(), { once: true });
  }

  /** The hop into that stage, open and ready. */
  openHop(): Promise<HopSender> {
    return this.untilLoaded(async () => {
      const channel = this.client.hop({ signal: this.options.signal });
      const sender = new HopSender(channel);
      await this.attempt(channel, async () => {
        await sender.open(this.options.spec.id, this.options.stage);
        const { ready, fault } = await first(channel);
        if (!ready) throw fault ? new FaultReport(fault) : unexpected('hop');
      });
      // Nothing follows on a healthy hop: whatever comes next is its end.
      this.watch(async () => {
        const last = await channel.next();
        throw !last.done && last.value.fault ? new FaultReport(last.value.fault) : closed('hop');
      });
      return sender;
    });
  }

  /** The results of that stage, the tail. They are read as they come, whatever else waits. */
  openResults(onResult: (result: NonNullable<ResultsResponse['result']>) => void): Promise<void> {
    return this.untilLoaded(async () => {
      const stream = this.client.results({ pipelineId: this.options.spec.id }, { signal: this.options.signal });
      await this.attempt(stream, async () => {
        const { ready, fault } = await first(stream);
        if (!ready) throw fault ? new FaultReport(fault) : unexpected('results stream');
      });
      this.watch(async () => {
        for await (const { result, fault } of stream) {
          if (fault) throw new FaultReport(fault);
          if (result) onResult(result);
        }
        throw closed('results stream');
      });
    });
  }

  private async untilLoaded<T>(open: () => Promise<T>): Promise<T> {
    const { spec, stage, loadDeadlineMs, signal } = this.options;
    const deadline = performance.now() + loadDeadlineMs;
    const backoff = new Backoff({ initialMs: 50, maxMs: 1_000, random: Math.random });
    for (;;) {
      try {
        return await open();
      } catch (error) {
        const retryable = !(error instanceof FaultReport) && NOT_YET.has(toPangalacticError(error).code);
        if (signal.aborted || !retryable || performance.now() > deadline) {
          throw new FaultReport(faultOf(error, spec, stage));
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

  private watch(reading: () => Promise<never>): void {
    reading().catch((error: unknown) => this.onFailure(error));
  }
}

async function first<T>(stream: ServerStream<T>): Promise<T> {
  const next = await stream.next();
  if (next.done) throw closed('stream');
  return next.value;
}

function closed(what: string): PangalacticError {
  return new PangalacticError('service_unavailable', `it closed the ${what}`);
}

function unexpected(what: string): PangalacticError {
  return new PangalacticError('invalid_frame', `its ${what} did not begin with ready`);
}
