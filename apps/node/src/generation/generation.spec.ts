import { join } from 'node:path';
import { type PangalacticError, repositoryRoot } from '@pangalactic/contracts';
import { BatchScheduler, MockProvider } from '@pangalactic/inference';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { PipelineHead } from '../pipeline/pipeline-head';
import { LocalResults } from '../pipeline/results-sender';
import { StageRunner } from '../pipeline/stage-runner';
import { DEFAULT_STEP_DEADLINE, StepDeadline } from '../pipeline/step-deadline';
import { StepWatchdog } from '../pipeline/step-watchdog';
import { Generation } from './generation';

const STALL_TIMEOUT_MS = 1_000;
const SPEC = {
  ...{ modelPath: join(repositoryRoot(), 'models/pangalactic-nano.gguf'), fingerprint: 'any' },
  ...{ layers: { from: 0, to: 8 }, contextLength: 512, maxSequences: 1 },
};
const REQUEST = {
  ...{ promptIds: [1, 2], emittedIds: [], maxTokens: 0, sampling: { temperature: 0, topP: 1 } },
  ...{ seed: 0, choiceIndex: 0 },
};
/** A pipeline of one stage that computes in no time. */
async function pipelineHead(): Promise<PipelineHead> {
  const fail = (error: unknown) => {
    throw error;
  };
  const shard = await new MockProvider().load(SPEC, () => undefined);
  const results = new LocalResults((result) => head.onResult(result));
  const runner = new StageRunner(shard, results, {
    ...{ onCommand: () => undefined, onOutput: () => undefined, onFailure: fail },
  });
  const { contextLength, maxSequences: slots } = SPEC;
  const scheduler = new BatchScheduler({ slots, contextLength, stages: 1, queueLimit: 1, endOfGenerationIds: [] });
  const watchdog = new StepWatchdog(new StepDeadline(DEFAULT_STEP_DEADLINE), fail);
  const head: PipelineHead = new PipelineHead(scheduler, runner, watchdog, {
    onProfile: () => undefined,
    onFailure: fail,
  });
  return head;
}

describe('Generation', () => {
  let head: PipelineHead;
  let stalls: string[];
  let generation: Generation;

  const untilParked = async () => {
    while (head.scheduler.stepsInFlight > 0) await new Promise((resolve) => setImmediate(resolve));
  };

  beforeEach(async () => {
    head = await pipelineHead();
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    stalls = [];
    const onStall = ({ message }: PangalacticError) => stalls.push(message);
    generation = new Generation(head, REQUEST, { parkAt: 64, stallTimeoutMs: STALL_TIMEOUT_MS }, onStall);
  });
  afterEach(() => {
    generation.stop();
    vi.useRealTimers();
  });

  it('waits for a reader that is slow but steady, and gives up one that takes nothing', async () => {
    const reader = generation.responses();
    for (let taken = 0; taken < 100; taken++) {
      await reader.next();
      await untilParked();
      vi.advanceTimersByTime(0.9 * STALL_TIMEOUT_MS);
    }
    expect(stalls).toEqual([]);
    vi.advanceTimersByTime(0.1 * STALL_TIMEOUT_MS);
    expect(stalls).toEqual(['the reader took none of 64 tokens or more for 1000 ms']);
  });
});
