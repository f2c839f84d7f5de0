import { fork, type StdioOptions } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { Worker } from 'node:worker_threads';
import type { FromEngine, ToEngine } from './engine-protocol';

/** Where engine-worker.js runs. Messages arrive in their order. */
export interface EngineHost {
  post(message: ToEngine): void;
  onMessage(listener: (message: FromEngine) => void): void;
  /** Resolves when the engine has ended and its memory is free, with what ended it. */
  readonly ended: Promise<string>;
  /** Ends a process whatever it does. A thread can't be ended so: inside a native run, that would abort the whole process. */
  readonly kill?: () => void;
}

const WORKER_FILE = join(__dirname, 'engine-worker.js');

/** A thread: next to no cost for a message. */
export function startThread(workerFile = WORKER_FILE): EngineHost {
  const worker = new Worker(workerFile);
  let failure: string | undefined;
  worker.on('error', (error) => (failure = error.message));
  return {
    post: (message) => worker.postMessage(message),
    onMessage: (listener) => worker.on('message', listener),
    ended: new Promise((resolve) => worker.once('exit', (code) => resolve(failure ?? `it ended with code ${code}`))),
  };
}

/**
 * A process of its own: WebGPU has one device for a process, which two threads may not use at once, and a driver that
 * crashes takes the pipeline along and not the node.
 * @param onLine what it and the driver print
 */
export function startProcess(workerFile = WORKER_FILE, onLine: (line: string) => void = () => undefined): EngineHost {
  const stdio: StdioOptions = ['ignore', 'pipe', 'pipe', 'ipc'];
  const child = fork(workerFile, { stdio, serialization: 'advanced', execArgv: [] });
  const kill = () => void child.kill('SIGKILL');
  // One that hangs does not notice that the node ends.
  process.once('exit', kill);
  const ended = new Promise<string>((resolve) => {
    child.once('error', (error) => resolve(error.message));
    // Its last messages have arrived then, which at `exit` they may not.
    child.once('close', (code, signal) =>
      resolve(signal ? `it was killed by ${signal}` : `it ended with code ${code}`),
    );
  });
  void ended.then(() => process.off('exit', kill));
  // A process that could not be started has none.
  for (const stream of [child.stdout, child.stderr]) if (stream) createInterface(stream).on('line', onLine);
  return {
    // Who posts to a process that has just ended learns it from `ended`.
    post: (message) => child.send(message, () => undefined),
    onMessage: (listener) => child.on('message', (message) => listener(message as FromEngine)),
    ended,
    kill,
  };
}
