import { parentPort, workerData } from 'node:worker_threads';
import { type PangalacticError, toPangalacticError } from '@pangalactic/contracts';
import { ShardEngine } from './engine/shard-engine';
import { type FromWorker, serialiseError, type ToWorker, type WorkerInput } from './worker-protocol';

/** Runs one shard. session.run blocks its thread, so each shard has its own; messages take effect in their order. */
function main(): void {
  const port = parentPort!;
  const { spec, options } = workerData as WorkerInput;
  const send = (message: FromWorker) => port.postMessage(message);
  const closing = new AbortController();
  let engine: ShardEngine | undefined;
  let fault: PangalacticError | undefined;

  const load = async (): Promise<void> => {
    try {
      engine = await ShardEngine.open(
        spec,
        options,
        (fraction) => send({ kind: 'progress', fraction }),
        closing.signal,
      );
      send({ kind: 'loaded', memoryBytes: engine.memoryBytes });
    } catch (error) {
      send({ kind: 'failed', error: serialiseError(error) });
      port.close();
    }
  };
  const handle = async (message: ToWorker): Promise<void> => {
    if (message.kind === 'close') {
      await engine?.close();
      port.close();
      return;
    }
    try {
      if (fault) throw fault;
      if (message.kind === 'command') {
        engine!.apply(message.command);
      } else {
        send({ kind: 'output', id: message.id, output: await engine!.run(message.step) });
      }
    } catch (error) {
      fault = toPangalacticError(error);
      if (message.kind === 'run') send({ kind: 'error', id: message.id, error: serialiseError(fault) });
    }
  };
  let queue = load();
  port.on('message', (message: ToWorker) => {
    // A load that is still running gives up at its next tensor.
    if (message.kind === 'close') closing.abort();
    queue = queue.then(() => handle(message));
  });
}

main();
