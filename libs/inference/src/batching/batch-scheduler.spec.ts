import { describe, expect, it } from 'vitest';
import { BatchScheduler, type BatchSchedulerOptions } from './batch-scheduler';
import type { HeadMessage, HeadStep, SequenceRequest } from './batch-scheduler.types';

const END = 99;

function scheduler(overrides: Partial<BatchSchedulerOptions> = {}): BatchScheduler {
  return new BatchScheduler({
    slots: 4,
    contextLength: 512,
    stages: 1,
    queueLimit: 2,
    endOfGenerationIds: [END],
    ...overrides,
  });
}

function request(overrides: Partial<SequenceRequest> = {}): SequenceRequest {
  return {
    promptIds: [1, 2, 3],
    emittedIds: [],
    maxTokens: 0,
    sampling: { temperature: 0, topP: 1 },
    seed: 7,
    choiceIndex: 0,
    ...overrides,
  };
}

function all(target: BatchScheduler): HeadMessage[] {
  const messages: HeadMessage[] = [];
  for (let message = target.next(); message; message = target.next()) messages.push(message);
  return messages;
}

function nextStep(target: BatchScheduler): HeadStep {
  const step = all(target).find((message) => message.kind === 'step');
  if (!step) throw new Error('no step to run');
  return step;
}

/** Answers a step with one id for each row that samples. */
function answer(target: BatchScheduler, step: HeadStep, id = 50) {
  const samples = step.rows.filter((row) => row.sample).map(({ slot, generation }) => ({ slot, generation, id }));
  return target.onResult({ step: step.step, samples });
}

describe('BatchScheduler', () => {
  it('starts a sequence, feeds its prompt, then each sampled token, and releases the slot', () => {
    const target = scheduler();
    const id = target.submit(request({ maxTokens: 2 }));
    const [start, prefill] = all(target) as [HeadMessage, HeadStep];
    expect(start).toEqual({
      kind: 'start',
      sequenceId: id,
      start: {
        slot: 0,
        generation: 1,
        sampling: { temperature: 0, topP: 1 },
        seed: 7,
        choiceIndex: 0,
        promptIds: [1, 2, 3],
        emittedIds: [],
      },
    });
    expect(prefill).toMatchObject({ step: 1, phase: 'prefill', tokenIds: Uint32Array.of(1, 2, 3) });
    expect(prefill.rows).toEqual([{ slot: 0, generation: 1, start: 0, count: 3, sample: true }]);
    expect(answer(target, prefill, 50)).toEqual([{ kind: 'token', sequenceId: id, index: 0, id: 50 }]);

    const decode = nextStep(target);
    expect(decode).toMatchObject({ step: 2, phase: 'decode', tokenIds: Uint32Array.of(50) });
    expect(decode.rows).toEqual([{ slot: 0, generation: 1, start: 3, count: 1, sample: true }]);
    expect(answer(target, decode, 51)).toEqual([
      { kind: 'token', sequenceId: id, index: 1, id: 51 },
      { kind: 'finished', sequenceId: id, reason: 'length', completionTokens: 2 },
    ]);
    expect(all(target)).toEqual([{ kind: 'release', slot: 0, generation: 1 }]);
    expect(target.slotsInUse).toBe(0);
  });

  it('hands on the log probabilities of a sample', () => {
    const target = scheduler();
    const sequenceId = target.submit(request());
    const { step } = nextStep(target);
    const logprobs = { logprob: -0.5, top: [{ id: 50, logprob: -0.5 }] };
    expect(target.onResult({ step, samples: [{ slot: 0, generation: 1, id: 50, logprobs }] })).toEqual([
      { kind: 'token', sequenceId, index: 0, id: 50, logprobs },
    ]);
  });

  it('samples only after the last chunk of a prompt', () => {
    const target = scheduler();
    target.submit(request({ promptIds: Array.from({ length: 129 }, (_, index) => index) }));
    const first = nextStep(target);
    expect(first.rows).toEqual([{ slot: 0, generation: 1, start: 0, count: 127, sample: false }]);
    expect(answer(target, first)).toEqual([]);
    expect(nextStep(target).rows).toEqual([{ slot: 0, generation: 1, start: 127, count: 2, sample: true }]);
  });

  it('replays emitted tokens after the prompt and goes on at their index', () => {
    const target = scheduler();
    const id = target.submit(request({ emittedIds: [10, 11], maxTokens: 3 }));
    const prompt = nextStep(target);
    expect(prompt.rows[0]).toMatchObject({ start: 0, count: 3, sample: false });
    answer(target, prompt);
    const emitted = nextStep(target);
    expect(emitted.tokenIds).toEqual(Uint32Array.of(10, 11));
    expect(emitted.rows[0]).toMatchObject({ start: 3, count: 2, sample: true });
    expect(answer(target, emitted, 12)).toEqual([
      { kind: 'token', sequenceId: id, index: 2, id: 12 },
      { kind: 'finished', sequenceId: id, reason: 'length', completionTokens: 3 },
    ]);
  });

  it('ends with stop at an end-of-generation token and does not emit it', () => {
    const target = scheduler();
    const id = target.submit(request());
    expect(answer(target, nextStep(target), END)).toEqual([
      { kind: 'finished', sequenceId: id, reason: 'stop', completionTokens: 0 },
    ]);
  });

  it('ends with length when the context is full', () => {
    const target = scheduler({ contextLength: 4 });
    const id = target.submit(request({ maxTokens: 100 }));
    expect(answer(target, nextStep(target), 5).at(-1)).toEqual({
      kind: 'finished',
      sequenceId: id,
      reason: 'length',
      completionTokens: 1,
    });
  });

  it('alternates prefill chunks with decode steps', () => {
    const target = scheduler();
    target.submit(request());
    answer(target, nextStep(target));
    target.submit(request({ promptIds: Array.from({ length: 384 }, () => 1) }));
    const phases = [1, 2, 3, 4, 5, 6].map(() => {
      const step = nextStep(target);
      answer(target, step);
      return step.phase;
    });
    expect(phases).toEqual(['decode', 'prefill', 'decode', 'prefill', 'decode', 'prefill']);
  });

  it('batches all sequences that are ready on one stage', () => {
    const target = scheduler();
    for (let count = 0; count < 4; count++) target.submit(request());
    for (let count = 0; count < 4; count++) {
      const step = nextStep(target);
      if (step.phase === 'decode') throw new Error('decode before all prompts were fed');
      answer(target, step);
      if (count < 3) answer(target, nextStep(target));
    }
    expect(nextStep(target).rows.map((row) => row.slot)).toEqual([0, 1, 2, 3]);
  });

  it('keeps one group of sequences per stage in flight', () => {
    const target = scheduler({ stages: 2, slots: 4 });
    for (let count = 0; count < 4; count++) target.submit(request());
    const prompts = all(target).filter((message) => message.kind === 'step');
    expect(prompts).toHaveLength(2);
    const inFlight = [...prompts];
    const decodes: number[][] = [];
    while (decodes.length < 8) {
      const step = inFlight.shift();
      if (!step) throw new Error('nothing in flight');
      answer(target, step);
      for (const message of all(target)) {
        if (message.kind !== 'step') continue;
        inFlight.push(message);
        if (message.phase === 'decode') decodes.push(message.rows.map((row) => row.slot));
      }
      expect(target.stepsInFlight).toBeLessThanOrEqual(2);
    }
    expect(decodes.slice(-2).map((slots) => slots.length)).toEqual([2, 2]);
    expect(decodes.slice(-2).flat().sort()).toEqual([0, 1, 2, 3]);
  });

  it('feeds several chunks of one prompt without waiting, one per stage', () => {
    const target = scheduler({ stages: 3 });
    target.submit(request({ promptIds: Array.from({ length: 500 }, () => 1) }));
    const steps = all(target).filter((message) => message.kind === 'step');
    expect(steps.map((step) => step.rows[0]?.start)).toEqual([0, 128, 256]);
  });

  it('serves the queue in order and refuses what does not fit', () => {
    const target = scheduler({ slots: 1, queueLimit: 2 });
    const first = target.submit(request({ maxTokens: 1 }));
    target.submit(request({ promptIds: [20] }));
    target.submit(request({ promptIds: [30] }));
    expect(() => target.submit(request())).toThrow(
      expect.objectContaining({ code: 'queue_full', retryAfterSeconds: 1 }),
    );
    expect(answer(target, nextStep(target)).at(-1)).toMatchObject({ kind: 'finished', sequenceId: first });
    const messages = all(target);
    expect(messages.map((message) => message.kind)).toEqual(['release', 'start', 'step']);
    expect(messages[1]).toMatchObject({ start: { slot: 0, generation: 2, promptIds: [20] } });
  });

  it('releases the slot of a cancelled sequence at once and drops the result that comes late', () => {
    const target = scheduler({ slots: 1 });
    const cancelled = target.submit(request());
    const step = nextStep(target);
    target.cancel(cancelled);
    const next = target.submit(request({ promptIds: [8, 9] }));
    expect(all(target)).toMatchObject([
      { kind: 'release', slot: 0, generation: 1 },
      { kind: 'start', sequenceId: next, start: { slot: 0, generation: 2 } },
    ]);
    expect(answer(target, step)).toEqual([]);
    expect(answer(target, nextStep(target), 5)).toEqual([{ kind: 'token', sequenceId: next, index: 0, id: 5 }]);
  });

  it('forgets a sequence that is cancelled while it waits', () => {
    const target = scheduler({ slots: 1 });
    target.submit(request());
    const waiting = target.submit(request({ promptIds: [8] }));
    target.cancel(waiting);
    expect(target.waitingSequences).toBe(1);
    expect(all(target).filter((message) => message.kind === 'start')).toHaveLength(1);
    expect(target.waitingSequences).toBe(0);
  });

  it('feeds nothing of a parked sequence and goes on when it is unparked', () => {
    const target = scheduler();
    const id = target.submit(request());
    answer(target, nextStep(target));
    target.park(id);
    expect(all(target)).toEqual([]);
    target.unpark(id);
    expect(nextStep(target).rows[0]).toMatchObject({ start: 3, count: 1 });
  });

  it('ends everything on failure and takes nothing after it', () => {
    const target = scheduler({ slots: 1 });
    const running = target.submit(request());
    const waiting = target.submit(request({ promptIds: [4] }));
    const step = nextStep(target);
    expect(target.fail()).toEqual([running, waiting]);
    expect(target.next()).toBeNull();
    expect(answer(target, step)).toEqual([]);
    expect(() => target.submit(request())).toThrow(expect.objectContaining({ code: 'pipeline_broken' }));
  });

  it.each<[string, (step: HeadStep) => Parameters<BatchScheduler['onResult']>[0], RegExp]>([
    ['of another step', () => ({ step: 9, samples: [] }), /result of step 9, expected was step 1/],
    ['without its sample', (step) => ({ step: step.step, samples: [] }), /samples 1 tokens, its result has 0/],
    [
      'with the sample of another slot',
      (step) => ({ step: step.step, samples: [{ slot: 3, generation: 1, id: 5 }] }),
      /no sample for slot 0/,
    ],
  ])('refuses a result %s', (_case, result, message) => {
    const target = scheduler();
    target.submit(request());
    const step = nextStep(target);
    expect(() => target.onResult(result(step))).toThrow(
      expect.objectContaining({ code: 'invalid_frame', message: expect.stringMatching(message) as string }),
    );
  });

  it('refuses a result when nothing is in flight', () => {
    expect(() => scheduler().onResult({ step: 1, samples: [] })).toThrow(/expected was none/);
  });
});
