import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { repositoryRoot } from '@pangalactic/contracts';

export interface TokenLogProbability {
  readonly id: number;
  /** Natural logarithm. */
  readonly logProbability: number;
}

export interface Prediction {
  /** The most probable token. */
  readonly id: number;
  /** How far the second most probable is behind it, in log-probability, which is the same in logits. */
  readonly gap: number;
  /** The 20 most probable tokens, best first. */
  readonly top: readonly TokenLogProbability[];
}

export interface ForcedPrediction extends Prediction {
  /** The token that the continuation has here. */
  readonly forced: TokenLogProbability;
}

interface Waiting {
  readonly resolve: (result: unknown) => void;
  readonly reject: (error: Error) => void;
  readonly deadline: NodeJS.Timeout;
}

type Response = { readonly result: unknown } | { readonly error: string };

const DIRECTORY = join(repositoryRoot(), 'test/peer');
const DEADLINE_MS = 60_000;
const STDERR_LENGTH = 2000;

/** Whether `install.mjs` has installed llama.cpp here; where it cannot, recorded goldens serve instead. */
export function peerAvailable(): boolean {
  const installed = existsSync(join(DIRECTORY, 'node_modules/@node-llama-cpp/linux-x64/bins'));
  return installed && `${process.platform}-${process.arch}` === 'linux-x64';
}

/**
 * llama.cpp in a process of its own, on one thread of the CPU with float32 KV and without flash attention. Requests are
 * answered in order; one that misses its deadline ends the process and fails all others.
 */
export class LlamaCppPeer {
  private readonly waiting: Waiting[] = [];
  private readonly exited: Promise<void>;
  private failure: Error | undefined;
  private stderr = '';

  private constructor(private readonly child: ChildProcessWithoutNullStreams) {
    createInterface({ input: child.stdout }).on('line', (line) => this.answer(JSON.parse(line) as Response));
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.stderr = (this.stderr + text).slice(-STDERR_LENGTH);
    });
    // A write to a process that has ended: `close` reports it.
    child.stdin.on('error', () => undefined);
    child.on('error', (error) => this.fail(error));
    this.exited = new Promise((resolve) => {
      child.on('close', (code, signal) => {
        this.fail(new Error(`llama.cpp ended (${code ?? signal}): ${this.stderr}`));
        resolve();
      });
    });
  }

  static start(): LlamaCppPeer {
    return new LlamaCppPeer(spawn(process.execPath, ['peer.mjs'], { cwd: DIRECTORY }));
  }

  /** @param model path of a GGUF file; only its vocabulary is loaded */
  async tokenize(
    model: string,
    texts: readonly string[],
    options: { readonly addSpecial: boolean; readonly parseSpecial: boolean },
  ): Promise<number[][]> {
    return (await this.request('tokenize', { model, texts, ...options })) as number[][];
  }

  /** What the model predicts at each position of a given continuation (teacher forcing). */
  async evaluate(
    model: string,
    promptIds: readonly number[],
    continuationIds: readonly number[],
  ): Promise<ForcedPrediction[]> {
    return (await this.request('evaluate', { model, promptIds, continuationIds })) as ForcedPrediction[];
  }

  /** Greedy decoding, past the end of generation too. */
  async generate(model: string, promptIds: readonly number[], count: number): Promise<Prediction[]> {
    return (await this.request('generate', { model, promptIds, count })) as Prediction[];
  }

  /** Milliseconds from the request to each of `count` greedy tokens, on so many threads and with llama.cpp's own settings. */
  async measure(model: string, promptIds: readonly number[], count: number, threads: number): Promise<number[]> {
    return (await this.request('measure', { model, promptIds, count, threads })) as number[];
  }

  async close(): Promise<void> {
    this.child.kill('SIGKILL');
    await this.exited;
  }

  private request(op: string, parameters: object): Promise<unknown> {
    return new Promise((resolve, reject) => {
      if (this.failure) {
        reject(this.failure);
        return;
      }
      const deadline = setTimeout(() => {
        this.fail(new Error(`llama.cpp did not answer "${op}" within ${DEADLINE_MS / 1000} s`));
        this.child.kill('SIGKILL');
      }, DEADLINE_MS);
      this.waiting.push({ resolve, reject, deadline });
      this.child.stdin.write(`${JSON.stringify({ op, ...parameters })}\n`);
    });
  }

  private answer(response: Response): void {
    const request = this.waiting.shift();
    if (!request) return;
    clearTimeout(request.deadline);
    if ('error' in response) request.reject(new Error(response.error));
    else request.resolve(response.result);
  }

  private fail(error: Error): void {
    this.failure ??= error;
    for (const { reject, deadline } of this.waiting.splice(0)) {
      clearTimeout(deadline);
      reject(this.failure);
    }
  }
}
