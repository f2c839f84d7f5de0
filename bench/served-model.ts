import { randomInt } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { PipelineSpec } from '@pangalactic/contracts';
import { startCluster, type TestCluster } from '@pangalactic/testing';
import { connectNode, type NodeClient } from '@pangalactic/transport';
import { streamCompletion, type StreamedCompletion } from './stream-client';
import { MODEL_DIRECTORY, TINYLLAMA, TINYLLAMA_ID } from './tinyllama';

const DEADLINE_MS = 300_000;
const START_MS = 180_000;

/** After so many, what runs once per token has been compiled. */
const WARM_UP_TOKENS = 300;

/** When each token came, in milliseconds after the request. */
export type TokenTimes = readonly number[];

/** The generated model, served by node processes of this machine and asked for at the head, past hub and gateway. */
export class ServedModel {
  private constructor(
    readonly cluster: TestCluster,
    private readonly head: NodeClient,
    readonly pipeline: PipelineSpec,
  ) {}

  static async start(nodes: number, threads: number): Promise<ServedModel> {
    const cluster = await startCluster({
      ...{ nodes, model: TINYLLAMA_ID, modelDirectory: MODEL_DIRECTORY, timeoutMs: START_MS },
      env: { node: { NODE_THREADS: String(threads) } },
    });
    const { pipelines } = await cluster.view();
    const pipeline = pipelines.find(({ state }) => state === 'READY')!.pipeline!;
    const head = connectNode(pipeline.stages[0]!.address, { clusterToken: undefined });
    const model = new ServedModel(cluster, head, pipeline);
    await model.complete(freshPrompt(32), WARM_UP_TOKENS);
    return model;
  }

  async generate(promptIds: readonly number[], maxTokens: number): Promise<TokenTimes> {
    const started = performance.now();
    const stream = this.head.generate(
      {
        ...{ pipelineId: this.pipeline.id, attemptId: 'bench', promptIds: [...promptIds], emittedIds: [], maxTokens },
        ...{ sampling: { temperature: 0, topP: 1 }, seed: 1, choiceIndex: 0 },
      },
      { deadlineMs: DEADLINE_MS },
    );
    const times: number[] = [];
    for await (const { token } of stream) if (token) times.push(performance.now() - started);
    if (times.length !== maxTokens) throw new Error(`${times.length} tokens instead of ${maxTokens}`);
    return times;
  }

  /** The same through the gateway, as a client sees it. */
  complete(promptIds: readonly number[], maxTokens: number): Promise<StreamedCompletion> {
    const body = { model: TINYLLAMA_ID, prompt: promptIds, max_tokens: maxTokens, temperature: 0 };
    return streamCompletion(this.cluster.url('gateway', '/v1/completions'), body);
  }

  /** What the planner's ledger counts for this model on all its nodes: weights, KV cache and workspace, in bytes. */
  get ledgerBytes(): number {
    return this.pipeline.stages.reduce((bytes, { memoryBytes }) => bytes + memoryBytes, 0);
  }

  /** Anonymous memory of the node processes, in bytes. */
  anonymousBytes(): number {
    return this.cluster.nodeNames.reduce((bytes, name) => {
      const status = readFileSync(`/proc/${this.cluster.process(name).pid}/status`, 'utf8');
      return bytes + Number(/^RssAnon:\s+(\d+)/m.exec(status)![1]) * 1024;
    }, 0);
  }

  async stop(): Promise<void> {
    this.head.close();
    await this.cluster.stop();
  }
}

/** A prompt that nobody has seen before, so that no cache helps. */
export function freshPrompt(tokens: number): number[] {
  return Array.from({ length: tokens }, () => randomInt(300, TINYLLAMA.vocabSize));
}
