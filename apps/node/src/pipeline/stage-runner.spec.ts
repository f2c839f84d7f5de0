import { PangalacticError } from '@pangalactic/contracts';
import type { Shard, SlotCommand, StepOutput } from '@pangalactic/inference';
import { describe, expect, it } from 'vitest';
import type { StageOutput, StageSink } from './stage-message';
import { StageRunner } from './stage-runner';

const START: SlotCommand = {
  kind: 'start',
  slot: 0,
  generation: 1,
  sampling: { temperature: 0, topP: 1 },
  seed: 0,
  choiceIndex: 0,
  promptIds: [1],
  emittedIds: [],
};
const RELEASE: SlotCommand = { kind: 'release', slot: 0, generation: 1 };
const step = (number: number, arrivedAt = 0) => ({
  ...{ kind: 'step' as const, step: number, arrivedAt },
  ...{ input: { rows: [] }, timings: [] },
});

interface Deferred {
  resolve(output: StepOutput): void;
  reject(error: Error): void;
}

/** A shard whose steps end when the test says so, and a sink that writes down what arrives. */
function setUp() {
  const running: Deferred[] = [];
  const arrived: string[] = [];
  const failures: unknown[] = [];
  const outputs: StageOutput[] = [];
  const shard: Shard = {
    memoryBytes: 0,
    apply: () => undefined,
    run: () => new Promise<StepOutput>((resolve, reject) => running.push({ resolve, reject })),
    unload: () => Promise.resolve(),
  };
  const sink: StageSink = {
    command: async ({ kind }) => void arrived.push(kind),
    output: async (output: StageOutput) => void arrived.push(`step ${output.step}`),
  };
  const runner = new StageRunner(shard, sink, {
    onCommand: () => undefined,
    onOutput: (output) => outputs.push(output),
    onFailure: (error) => failures.push(error),
  });
  const finish = (index: number) => running[index]?.resolve({ samples: [], computeMs: 1 });
  const settled = () => new Promise((resolve) => setImmediate(resolve));
  return { runner, running, arrived, failures, outputs, finish, settled };
}

describe('StageRunner', () => {
  it('forwards commands and steps in order, each command behind the steps before it', async () => {
    const { runner, arrived, finish, settled } = setUp();
    await runner.push({ kind: 'command', command: START });
    await runner.push(step(1));
    const released = runner.push({ kind: 'command', command: RELEASE });
    await settled();
    expect(arrived).toEqual(['start']);
    finish(0);
    await released;
    await settled();
    expect(arrived).toEqual(['start', 'step 1', 'release']);
  });

  it('takes one step more than it computes, and no third', async () => {
    const { runner, running, finish, settled } = setUp();
    await runner.push(step(1));
    let taken = false;
    const second = runner.push(step(2)).then(() => (taken = true));
    await settled();
    expect(running).toHaveLength(2);
    expect(taken).toBe(false);
    finish(0);
    await second;
    finish(1);
  });

  it('counts the slots that sequences hold', async () => {
    const { runner } = setUp();
    await runner.push({ kind: 'command', command: START });
    expect(runner.slotsInUse).toBe(1);
    await runner.push({ kind: 'command', command: RELEASE });
    expect(runner.slotsInUse).toBe(0);
  });

  it('counts as waiting what a step spends in the queue before the stage', async () => {
    const { runner, outputs, finish, settled } = setUp();
    await runner.push(step(1, performance.now() - 500));
    finish(0);
    await settled();
    const waitMs = outputs[0]?.timings[0]?.waitMs;
    expect(waitMs).toBeGreaterThan(498);
    expect(waitMs).toBeLessThan(5_000);
  });

  it('reports an engine failure without waiting for the next message', async () => {
    const { runner, running, failures, settled } = setUp();
    await runner.push(step(1));
    const error = new PangalacticError('kv_gap', 'a gap');
    running[0]?.reject(error);
    await settled();
    expect(failures).toEqual([error]);
  });
});
