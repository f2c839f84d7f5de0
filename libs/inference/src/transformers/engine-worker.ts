import { parentPort } from 'node:worker_threads';
import { type PangalacticError, toPangalacticError } from '@pangalactic/contracts';
import { checkGpu } from './engine/gpu-check';
import { ShardEngine } from './engine/shard-engine';
import { type FromEngine, serialiseError, type ShardInput, type ToEngine } from './engine-protocol';

interface Port {
  send(message: FromEngine): void;
  onMessage(listener: (message: ToEngine) => void): void;
  /** Lets the thread or the process end. */
  close(): void;
}

/**
 * Runs one shard, in a thread or in a process (see engine-host.ts). session.run blocks its thread, so each shard has its
 * own; messages take effect in their order.
 */
function main(port: Port): void {
  const closing = new AbortController();
  let engine: ShardEngine | undefined;
  let fault: PangalacticError | undefined;

  const load = async ({ spec, options }: ShardInput): Promise<void> => {
    try {
      const onProgress = (fraction: number) => port.send({ kind: 'progress', fraction });
      engine = await ShardEngine.open(spec, options, onProgress, closing.signal);
      port.send({ kind: 'loaded', memoryBytes: engine.memoryBytes });
    } catch (error) {
      port.send({ kind: 'failed', error: serialiseError(error) });
      port.close();
    }
  };
  const handle = async (message: ToEngine): Promise<void> => {
    switch (message.kind) {
      case 'check-gpu':
        port.send({ kind: 'checked', check: await checkGpu() });
        port.close();
        return;
      case 'load':
        return load(message);
      case 'close':
        await engine?.close();
        port.close();
        return;
    }
    try {
      if (fault) throw fault;
      if (message.kind === 'command') {
        await engine!.apply(message.command);
      } else {
        port.send({ kind: 'output', id: message.id, output: await engine!.run(message.step) });
      }
    } catch (error) {
      fault = toPangalacticError(error);
      if (message.kind === 'run') port.send({ kind: 'error', id: message.id, error: serialiseError(fault) });
    }
  };
  let queue = Promise.resolve();
  port.onMessage((message) => {
    // A load that is still running gives up at its next tensor.
    if (message.kind === 'close') closing.abort();
    queue = queue.then(() => handle(message));
  });
}

function threadPort(port: NonNullable<typeof parentPort>): Port {
  return {
    send: (message) => port.postMessage(message),
    onMessage: (listener) => port.on('message', listener),
    close: () => port.close(),
  };
}

function processPort(): Port {
  // A terminal sends them to all its processes: the node decides when its shards end.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => undefined);
  // The node is gone, or needs this process no more. A driver may crash in an orderly exit.
  process.on('disconnect', () => process.kill(process.pid, 'SIGKILL'));
  return {
    send: (message) => process.send!(message),
    onMessage: (listener) => process.on('message', (message) => listener(message as ToEngine)),
    close: () => void (process.connected && process.disconnect()),
  };
}

main(parentPort ? threadPort(parentPort) : processPort());
