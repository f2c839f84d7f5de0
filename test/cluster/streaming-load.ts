import { setTimeout as sleep } from 'node:timers/promises';
import { inspect } from 'node:util';
import type OpenAI from 'openai';
import { ask, type Question } from './openai-client';

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

/** @param turn how many questions its client has asked before */
export type Ask = (question: Question, turn: number) => Promise<object>;

/** Asks without a break, several at once; each answer is compared with the answer in quiet times. */
export class StreamingLoad {
  private readonly failures: string[] = [];
  private readonly stopping = new AbortController();
  private answers = 0;
  private slowestMs = 0;
  private clients: Promise<void>[] = [];

  private constructor(
    private readonly ask: Ask,
    private readonly expected: readonly object[],
  ) {}

  /** Streams with the official client. */
  static start(client: OpenAI, model: string): Promise<StreamingLoad> {
    return StreamingLoad.of((question) => ask(client, model, question));
  }

  static async of(ask: Ask): Promise<StreamingLoad> {
    const expected = [];
    for (const prompt of PROMPTS) expected.push(await ask(question(prompt), 0));
    const load = new StreamingLoad(ask, expected);
    load.clients = PROMPTS.map((_, index) => load.askForEver(index));
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
    for (let turn = 0; !this.stopping.signal.aborted; turn += 1) {
      await this.askOnce((first + turn) % PROMPTS.length, turn);
      await sleep(PAUSE_MS);
    }
  }

  private async askOnce(index: number, turn: number): Promise<void> {
    const startedAt = performance.now();
    try {
      const answer = await this.ask(question(PROMPTS[index]!), turn);
      const [got, wanted] = [JSON.stringify(answer), JSON.stringify(this.expected[index])];
      if (got === wanted) this.answers += 1;
      else this.failures.push(`${got} instead of ${wanted}`);
    } catch (error) {
      this.failures.push(inspect(error));
    }
    this.slowestMs = Math.max(this.slowestMs, performance.now() - startedAt);
  }
}

function question(content: string): Question {
  return { messages: [{ role: 'user' as const, content }], temperature: 0, maxTokens: MAX_TOKENS };
}
