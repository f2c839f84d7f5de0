import { PangalacticError } from '@pangalactic/contracts';
import { BatchScheduler, type SequenceRequest, type Shard } from '@pangalactic/inference';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { PipelineHead, type SequenceListener } from './pipeline-head';
import type { StageSink } from './stage-message';
import { StageRunner } from './stage-runner';
import { StepDeadline } from './step-deadline';
import { StepWatchdog } from './step-watchdog';

const REQUEST: SequenceRequest = {
  promptIds: [1, 2],
  emittedIds: [],
  maxTokens: 0,
  sampling: { temperature: 0, topP: 1 },
  seed: 0,
  choiceIndex: 0,
};
const settled = () => new Promise((resolve) => setImmediate(resolve));

/** The head of two stages whose network can be made to block. */
function setUp({ onRun = () => undefined }: { onRun?: () => void } = {}) {
  const written: number[] = [];
  const failures: unknown[] = [];
  let unblock: (() => void) | undefined;
  let blocked = Promise.resolve();
  const block = () => {
    blocked = new Promise((resolve) => (unblock = resolve));
  };
  const shard: Shard = {
    memoryBytes: 0,
    apply: () => undefined,
    run: async () => {
      onRun();
      return { samples: [], computeMs: 1 };
    },
    unload: () => Promise.resolve(),
  };
  const sink: StageSink = {
    command: () => blocked,
    output: async ({ step }) => {
      written.push(step);
      await blocked;
    },
  };
  const scheduler = new BatchScheduler({
    slots: 4,
    contextLength: 32,
    stages: 2,
    queueLimit: 4,
    endOfGenerationIds: [],
  });
  const onFailure = (error: unknown) => failures.push(error);
  const runner = new StageRunner(shard, sink, { onCommand: () => undefined, onOutput: () => undefined, onFailure });
  const deadline = new StepDeadline({ floorMs: 60_000, initialMs: 60_000, margin: 1 });
  const watchdog = new StepWatchdog(deadline, onFailure);
  const head = new PipelineHead(scheduler, runner, watchdog, { onProfile: () => undefined, onFailure });
  return { head, written, failures, block, unblock: () => unblock?.() };
}

function listener(heard: string[]): SequenceListener {
  return {
    accepted: () => heard.push('accepted'),
    token: (index, id) => heard.push(`token ${index}: ${id}`),
    finished: (reason) => heard.push(reason),
    failed: ({ code }) => heard.push(code),
  };
}

describe('PipelineHead', () => {
  it('takes results while a write into the pipeline blocks, and goes on writing after', async () => {
    const { head, written, block, unblock } = setUp();
    const heard: string[] = [];
    head.submit(REQUEST, listener(heard));
    await settled();
    block();
    head.submit({ ...REQUEST, promptIds: [3, 4] }, listener([]));
    await settled();
    head.onResult({ step: 1, samples: [{ slot: 0, generation: 1, id: 7 }], timings: [] });
    expect(heard).toEqual(['accepted', 'token 0: 7']);
    const before = written.length;
    await settled();
    expect(written).toHaveLength(before);
    unblock();
    await settled();
    expect(written.length).toBeGreaterThan(before);
    head.fail(new PangalacticError('pipeline_broken', 'over'));
  });

  it('feeds the next step before it hands out a token: the engine waits for nobody', async () => {
    const heard: string[] = [];
    const { head } = setUp({ onRun: () => heard.push('run') });
    head.submit(REQUEST, listener(heard));
    await settled();
    head.onResult({ step: 1, samples: [{ slot: 0, generation: 1, id: 7 }], timings: [] });
    expect(heard).toEqual(['accepted', 'run', 'run', 'token 0: 7']);
    head.fail(new PangalacticError('pipeline_broken', 'over'));
  });

  it('tells nothing of a sequence that was cancelled', async () => {
    const { head } = setUp();
    const heard: string[] = [];
    const id = head.submit(REQUEST, listener(heard));
    await settled();
    head.cancel(id);
    head.onResult({ step: 1, samples: [{ slot: 0, generation: 1, id: 7 }], timings: [] });
    await settled();
    expect(heard).toEqual(['accepted']);
    expect(head.scheduler.slotsInUse).toBe(0);
  });

  it('knows for how long it has had no sequence', async () => {
    const now = vi.spyOn(performance, 'now').mockReturnValue(1_000);
    onTestFinished(() => now.mockRestore());
    const { head } = setUp();
    now.mockReturnValue(4_000);
    expect(head.idleMs).toBe(3_000);
    const id = head.submit(REQUEST, listener([]));
    head.submit({ ...REQUEST, maxTokens: 1 }, listener([]));
    await settled();
    expect(head.idleMs).toBe(0);
    head.cancel(id);
    expect(head.idleMs).toBe(0);
    now.mockReturnValue(9_000);
    head.onResult({ step: 1, samples: [{ slot: 0, generation: 1, id: 7 }], timings: [] });
    await settled();
    head.onResult({ step: 2, samples: [{ slot: 1, generation: 1, id: 7 }], timings: [] });
    now.mockReturnValue(9_500);
    expect(head.idleMs).toBe(500);
  });

  it('reports a result that answers no step', async () => {
    const { head, failures } = setUp();
    head.onResult({ step: 5, samples: [], timings: [] });
    expect(failures).toEqual([expect.objectContaining({ code: 'invalid_frame' })]);
  });
});
