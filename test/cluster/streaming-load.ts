import { setTimeout as sleep } from 'node:timers/promises';
import type OpenAI from 'openai';
import { ask, type Answer } from './openai-client';

const PROMPTS = ['Tell me a story about a dog.', 'Count to 20.', 'What is PanGalactic?', 'Tell me a long story.'];
const MAX_TOKENS = 60;
/** So that failures cannot become a busy loop. */
const PAUSE_MS = 10;

export interface LoadResult {
  /** Answers that are what the same question got before the trouble began. */
  readonly answered: number;
  readonly failures: readonly string[];
  /** The longest time from question to complete answer. */
  readonly slowestMs: number;
}

/** Streams answers without a break, several at once, each compared with the answer in quiet times. */
export class StreamingLoad {
  private readonly failures: string[] = [];
  private readonly stopping = new AbortController();
  private answers = 0;
  private slowestMs = 0;
  private clients: Promise<void>[] = [];

  private constructor(
    private readonly client: OpenAI,
    private readonly model: string,
    private readonly expected: readonly Answer[],
  ) {}

  static async start(client: OpenAI, model: string, parallel = PROMPTS.length): Promise<StreamingLoad> {
    const expected = [];
    for (const prompt of PROMPTS) expected.push(await ask(client, model, question(prompt)));
    const load = new StreamingLoad(client, model, expected);
    load.clients = Array.from({ length: parallel }, (_, index) => load.askForEver(index));
    return load;
  }

  get answered(): number {
    return this.answers;
  }

  /** Lets what runs end. */
  async stop(): Promise<LoadResult> {
    this.stopping.abort();
    await Promise.all(this.clients);
    return { answered: this.answers, failures: this.failures, slowestMs: this.slowestMs };
  }

  private async askForEver(first: number): Promise<void> {
    for (let index = first; !this.stopping.signal.aborted; index += 1) {
      await this.askOnce(index % PROMPTS.length);
      await sleep(PAUSE_MS);
    }
  }

  private async askOnce(index: number): Promise<void> {
    const startedAt = performance.now();
    try {
      const answer = await ask(this.client, this.model, question(PROMPTS[index]!));
      const [got, wanted] = [JSON.stringify(answer), JSON.stringify(this.expected[index])];
      if (got === wanted) this.answers += 1;
      else this.failures.push(`${got} instead of ${wanted}`);
    } catch (error) {
      this.failures.push(String(error));
    }
    this.slowestMs = Math.max(this.slowestMs, performance.now() - startedAt);
  }
}

function question(content: string) {
  return { messages: [{ role: 'user' as const, content }], temperature: 0, maxTokens: MAX_TOKENS };
}
