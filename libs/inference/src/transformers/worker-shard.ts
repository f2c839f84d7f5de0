import { Worker } from 'node:worker_threads';
import { PangalacticError } from '@pangalactic/contracts';
import type { Shard, SlotCommand, StepInput, StepOutput } from '../inference-provider';
import { deserialiseError, type FromWorker, type ToWorker, type WorkerInput } from './worker-protocol';

interface PendingStep {
  resolve(output: StepOutput): void;
  reject(error: PangalacticError): void;
}

/** A shard in a worker thread of its own. */
export class WorkerShard implements Shard {
  private readonly pending = new Map<number, PendingStep>();
  private nextId = 0;
  private gone: PangalacticError | undefined;

  private constructor(
    private readonly worker: Worker,
    /** Settles when the thread has ended and its memory is free. */
    readonly exited: Promise<void>,
    readonly memoryBytes: number,
  ) {}

  /** @param workerFile the compiled engine-worker.js */
  static start(
    workerFile: string,
    input: WorkerInput,
    onProgress: (fraction: number) => void,
    signal?: AbortSignal,
  ): Promise<WorkerShard> {
    if (signal?.aborted) return Promise.reject(signal.reason as Error);
    const worker = new Worker(workerFile, { workerData: input });
    const exited = new Promise<void>((resolve) => worker.once('exit', () => resolve()));
    const giveUp = () => worker.postMessage({ kind: 'close' } satisfies ToWorker);
    signal?.addEventListener('abort', giveUp, { once: true });
    const started = new Promise<WorkerShard>((resolve, reject) => {
      let shard: WorkerShard | undefined;
      let failure: PangalacticError | undefined;
      worker.on('message', (message: FromWorker) => {
        if (message.kind === 'progress') onProgress(message.fraction);
        else if (message.kind === 'failed') failure = deserialiseError(message.error);
        else if (message.kind !== 'loaded') shard?.settle(message);
        // One that was given up at the last moment closes all the same.
        else if (!signal?.aborted) resolve((shard = new WorkerShard(worker, exited, message.memoryBytes)));
      });
      worker.on('error', (cause) => {
        failure = new PangalacticError('internal_error', `the engine worker failed: ${cause.message}`, { cause });
      });
      worker.on('exit', (code) => {
        failure ??= new PangalacticError('internal_error', `the engine worker ended with code ${code}`);
        if (shard) shard.fail(failure);
        else reject(signal?.aborted ? (signal.reason as Error) : failure);
      });
    });
    return started.finally(() => signal?.removeEventListener('abort', giveUp));
  }

  apply(command: SlotCommand): void {
    if (this.gone) throw this.gone;
    this.post({ kind: 'command', command });
  }

  run(step: StepInput): Promise<StepOutput> {
    if (this.gone) return Promise.reject(this.gone);
    const id = this.nextId++;
    return new Promise((resolve, reject) => {
      this.pending.set(id, { resolve, reject });
      this.post({ kind: 'run', id, step: step.hidden ? { ...step, hidden: compact(step.hidden) } : step });
    });
  }

  /** Co-operative: terminating a worker inside a native run would abort the process. */
  async unload(): Promise<void> {
    if (!this.gone) {
      this.gone = new PangalacticError('pipeline_broken', 'the shard was unloaded');
      this.post({ kind: 'close' });
    }
    await this.exited;
  }

  private post(message: ToWorker): void {
    this.worker.postMessage(message);
  }

  private settle(message: Extract<FromWorker, { kind: 'output' | 'error' }>): void {
    const step = this.pending.get(message.id);
    this.pending.delete(message.id);
    if (message.kind === 'output') step?.resolve(message.output);
    else step?.reject(deserialiseError(message.error));
  }

  private fail(error: PangalacticError): void {
    this.gone ??= error;
    for (const step of this.pending.values()) step.reject(this.gone);
    this.pending.clear();
  }
}

/**
 * A message copies the whole buffer behind a view: a view into a network buffer must not take that along. It is copied
 * and not transferred, which takes longer for the 8 KiB of a decode step and is nothing beside the compute of a chunk.
 */
function compact(values: Float32Array): Float32Array {
  return values.byteLength === values.buffer.byteLength ? values : values.slice();
}
