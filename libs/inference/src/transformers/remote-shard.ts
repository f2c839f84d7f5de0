import { PangalacticError } from '@pangalactic/contracts';
import type { Shard, SlotCommand, StepInput, StepOutput } from '../inference-provider';
import type { EngineHost } from './engine-host';
import { deserialiseError, type FromEngine, type ShardInput } from './engine-protocol';

interface PendingStep {
  resolve(output: StepOutput): void;
  reject(error: PangalacticError): void;
}

/** A shard in a thread or a process of its own. */
export class RemoteShard implements Shard {
  private readonly pending = new Map<number, PendingStep>();
  private nextId = 0;
  private gone: PangalacticError | undefined;

  private constructor(
    private readonly host: EngineHost,
    readonly memoryBytes: number,
  ) {}

  /** @param host runs nothing yet */
  static load(
    host: EngineHost,
    input: ShardInput,
    onProgress: (fraction: number) => void,
    signal?: AbortSignal,
  ): Promise<RemoteShard> {
    const giveUp = () => void end(host);
    signal?.addEventListener('abort', giveUp, { once: true });
    const loaded = new Promise<RemoteShard>((resolve, reject) => {
      let shard: RemoteShard | undefined;
      let failure: PangalacticError | undefined;
      host.onMessage((message) => {
        if (message.kind === 'progress') onProgress(message.fraction);
        else if (message.kind === 'failed') failure = deserialiseError(message.error);
        else if (message.kind === 'output' || message.kind === 'error') shard?.settle(message);
        // One that was given up at the last moment closes all the same.
        else if (message.kind === 'loaded' && !signal?.aborted) {
          resolve((shard = new RemoteShard(host, message.memoryBytes)));
        }
      });
      void host.ended.then((end) => {
        failure ??= new PangalacticError('internal_error', `the engine failed: ${end}`);
        if (shard) shard.fail(failure);
        else reject(signal?.aborted ? (signal.reason as Error) : failure);
      });
    });
    host.post({ kind: 'load', ...input });
    return loaded.finally(() => signal?.removeEventListener('abort', giveUp));
  }

  get ended(): Promise<unknown> {
    return this.host.ended;
  }

  apply(command: SlotCommand): void {
    if (this.gone) throw this.gone;
    this.host.post({ kind: 'command', command });
  }

  run(step: StepInput): Promise<StepOutput> {
    if (this.gone) return Promise.reject(this.gone);
    const id = this.nextId++;
    return new Promise((resolve, reject) => {
      this.pending.set(id, { resolve, reject });
      this.host.post({ kind: 'run', id, step: step.hidden ? { ...step, hidden: compact(step.hidden) } : step });
    });
  }

  /** Co-operative: terminating a worker inside a native run would abort the process. */
  async unload(): Promise<void> {
    if (!this.gone) {
      this.gone = new PangalacticError('pipeline_broken', 'the shard was unloaded');
    }
    await end(this.host);
  }

  private settle(message: Extract<FromEngine, { kind: 'output' | 'error' }>): void {
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

/** What a step or a tensor of a load gets to end in. A GPU that hangs takes longer. */
const CLOSE_TIMEOUT_MS = 30_000;

async function end(host: EngineHost): Promise<void> {
  host.post({ kind: 'close' });
  const overdue = setTimeout(() => host.kill?.(), CLOSE_TIMEOUT_MS);
  await host.ended;
  clearTimeout(overdue);
}

/**
 * A message copies the whole buffer behind a view: a view into a network buffer must not take that along. It is copied
 * and not transferred, which takes longer for the 8 KiB of a decode step and is nothing beside the compute of a chunk.
 */
function compact(values: Float32Array): Float32Array {
  return values.byteLength === values.buffer.byteLength ? values : values.slice();
}
