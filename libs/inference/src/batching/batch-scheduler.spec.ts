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

function steps(target: BatchScheduler): HeadStep[] {
  return all(target).filter((message) => message.kind === 'step');
}

function nextStep(target: BatchScheduler): HeadStep {
  const [step] = steps(target);
  if (!step) throw new Error('no step to run');
  return step;
}

/** Answers a step with one id for each row that samples. */
function answer(target: BatchScheduler, step: HeadStep, id = 50) {
  const samples = step.rows.filter((row) => row.sample).map(({ slot, generation }) => ({ slot, generation, id }));
  return target.onResult({ step: step.step, samples });
}

/** Answers step after step in order, so that others are in flight meanwhile. */
class Driver {
  private readonly inFlight: HeadStep[] = [];

  constructor(private readonly target: BatchScheduler) {}

  /** @returns the steps that were sent */
  run(count: number): HeadStep[] {
    const sent = this.send();
    for (let answered = 0; answered < count; answered++) {
      const step = this.inFlight.shift();
      if (!step) throw new Error('nothing in flight');
      answer(this.target, step);
      sent.push(...this.send());
    }
    return sent;
  }

  send(): HeadStep[] {
    const sent = steps(this.target);
    this.inFlight.push(...sent);
    return sent;
  }
}

const slotsOf = (step: HeadStep | undefined) => step?.rows.map((row) => row.slot);
const distinctPrompt = (length: number, first = 100) => Array.from({ length }, (_, index) => first + index);

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
      cachedTokens: 0,
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
    const driver = new Driver(target);
    target.submit(request());
    driver.run(1);
    target.submit(request({ promptIds: distinctPrompt(384) }));
    const phases = driver.run(6).map((step) => step.phase);
    expect(phases.slice(0, 6)).toEqual(['prefill', 'decode', 'prefill', 'decode', 'prefill', 'decode']);
  });

  it('feeds smaller chunks while others decode', () => {
    const target = scheduler();
    const driver = new Driver(target);
    target.submit(request({ maxTokens: 3 }));
    driver.run(1);
    target.submit(request({ promptIds: distinctPrompt(2 * 48 + 2 * 128) }));
    const chunks = driver.run(6).filter((step) => step.phase === 'prefill');
    expect(chunks.map((step) => step.tokenIds.length)).toEqual([48, 48, 128, 128]);
  });

  it('batches all sequences that are ready on one stage', () => {
    const target = scheduler();
    for (let count = 0; count < 4; count++) target.submit(request());
    expect(slotsOf(new Driver(target).run(8).at(-1))).toEqual([0, 1, 2, 3]);
  });

  it('decodes one contiguous group of slots per micro-batch', () => {
    const target = scheduler({ stages: 2, slots: 6 });
    for (let count = 0; count < 6; count++) target.submit(request());
    expect(new Driver(target).run(13).slice(-2).map(slotsOf)).toEqual([
      [0, 1, 2],
      [3, 4, 5],
    ]);
  });

  it('moves the cuts between groups as sequences leave', () => {
    const target = scheduler({ stages: 2, slots: 6 });
    const ids = Array.from({ length: 6 }, () => target.submit(request()));
    const sent = new Driver(target).run(13);
    for (const step of sent.slice(-2)) answer(target, step);
    target.cancel(ids[0]!);
    target.cancel(ids[1]!);
    expect(steps(target).map(slotsOf)).toEqual([
      [2, 3],
      [4, 5],
    ]);
  });

  it('takes as many groups as it is told', () => {
    const target = scheduler({ stages: 1, slots: 6 });
    target.microBatches = 3;
    for (let count = 0; count < 6; count++) target.submit(request());
    const decodes = new Driver(target).run(40).slice(-3).map(slotsOf);
    expect(decodes).toHaveLength(3);
    expect(decodes).toEqual(
      expect.arrayContaining([
        [0, 1],
        [2, 3],
        [4, 5],
      ]),
    );
  });

  it('keeps chunks of a prompt in all stages while others decode', () => {
    const target = scheduler({ stages: 3 });
    const driver = new Driver(target);
    target.submit(request());
    driver.run(1);
    target.submit(request({ promptIds: distinctPrompt(400) }));
    expect(driver.send().map((step) => step.phase)).toEqual(['prefill', 'prefill', 'prefill']);
  });

  it('feeds short prompts first and the oldest every second time', () => {
    const target = scheduler();
    target.submit(request({ promptIds: distinctPrompt(400) }));
    const driver = new Driver(target);
    const first = driver.send();
    target.submit(request({ promptIds: [1, 2], maxTokens: 1 }));
    target.submit(request({ promptIds: [3, 4], maxTokens: 1 }));
    expect([...first, ...driver.run(4)].map((step) => [step.rows[0]?.slot, step.tokenIds.length])).toEqual([
      [0, 128],
      [0, 128],
      [1, 2],
      [0, 128],
      [2, 2],
    ]);
  });

  it('lets those go first that lost their pipeline', () => {
    const target = scheduler({ slots: 1 });
    target.submit(request({ maxTokens: 1 }));
    answer(target, nextStep(target));
    target.submit(request({ promptIds: [8] }));
    const resumed = target.submit(request({ promptIds: [9], emittedIds: [10] }));
    const started = all(target).flatMap((message) => (message.kind === 'start' ? message.sequenceId : []));
    expect(started).toEqual([resumed]);
  });

  it('feeds several chunks of one prompt without waiting, one per stage', () => {
    const target = scheduler({ stages: 3 });
    target.submit(request({ promptIds: distinctPrompt(500) }));
    expect(steps(target).map((step) => step.rows[0]?.start)).toEqual([0, 128, 256]);
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

  it('takes a resumed sequence into a queue that is full of new ones, and serves it first', () => {
    const target = scheduler({ slots: 1, queueLimit: 1 });
    const first = target.submit(request({ maxTokens: 1 }));
    const step = nextStep(target);
    target.submit(request({ promptIds: [20] }));
    expect(() => target.submit(request())).toThrow(expect.objectContaining({ code: 'queue_full' }));
    const resumed = target.submit(request({ promptIds: [30, 31], emittedIds: [32] }));
    expect(() => target.submit(request({ emittedIds: [32] }))).toThrow(expect.objectContaining({ code: 'queue_full' }));
    expect(answer(target, step).at(-1)).toMatchObject({ kind: 'finished', sequenceId: first });
    expect(all(target)[1]).toMatchObject({ kind: 'start', sequenceId: resumed });
  });

  it('releases the slot of a cancelled sequence at once and drops the result that comes late', () => {
    const target = scheduler({ slots: 1, stages: 2 });
    const cancelled = target.submit(request());
    const step = nextStep(target);
    target.cancel(cancelled);
    const next = target.submit(request({ promptIds: [8, 9] }));
    const [release, start, prefill] = all(target) as [HeadMessage, HeadMessage, HeadStep];
    expect(release).toEqual({ kind: 'release', slot: 0, generation: 1 });
    expect(start).toMatchObject({ kind: 'start', sequenceId: next, start: { slot: 0, generation: 2 } });
    expect(answer(target, step)).toEqual([]);
    expect(answer(target, prefill, 5)).toEqual([{ kind: 'token', sequenceId: next, index: 0, id: 5 }]);
  });

  describe('with prefixes in its slots', () => {
    const conversation = distinctPrompt(100);

    /** Runs a prompt to its end: the slot keeps it and all completion tokens but the last. */
    function finish(target: BatchScheduler, promptIds: number[], tokens = 3): void {
      target.submit(request({ promptIds, maxTokens: tokens }));
      for (let step = steps(target)[0]; step; step = steps(target)[0]) answer(target, step);
    }
    const begin = (target: BatchScheduler, overrides: Partial<SequenceRequest>) => {
      target.submit(request(overrides));
      return all(target);
    };

    it('goes on in the slot of the last turn', () => {
      const target = scheduler();
      finish(target, conversation);
      const turn = [...conversation, 50, 50, 7, 8, 9];
      expect(begin(target, { promptIds: turn })).toMatchObject([
        { kind: 'start', start: { slot: 0 }, cachedTokens: 102 },
        { kind: 'step', rows: [{ slot: 0, start: 102, count: 3 }], tokenIds: Uint32Array.of(7, 8, 9) },
      ]);
    });

    it('feeds the last two tokens of a prompt that it holds whole', () => {
      const target = scheduler();
      finish(target, conversation);
      expect(begin(target, { promptIds: conversation })).toMatchObject([
        { kind: 'start', start: { slot: 0 }, cachedTokens: 98 },
        { kind: 'step', rows: [{ slot: 0, start: 98, count: 2, sample: true }] },
      ]);
    });

    it('copies what it shares with a sequence that runs', () => {
      const target = scheduler();
      target.submit(request({ promptIds: conversation }));
      new Driver(target).run(2);
      expect(begin(target, { promptIds: [...conversation.slice(0, 60), 1, 2, 3] })).toMatchObject([
        { kind: 'start', start: { slot: 1 }, cachedTokens: 60 },
        { kind: 'copy', fromSlot: 0, toSlot: 1, count: 60 },
        { kind: 'step', rows: [{ slot: 1, start: 60, count: 3 }] },
      ]);
    });

    it('computes a prompt once that comes several times at once', () => {
      const target = scheduler();
      for (let count = 0; count < 3; count++) target.submit(request({ promptIds: conversation, choiceIndex: count }));
      const prefills = new Driver(target).run(6).filter((step) => step.phase === 'prefill');
      expect(prefills.map((step) => step.tokenIds.length)).toEqual([100, 2, 2]);
    });

    it('counts only tokens of the prompt as cached when an attempt is resumed', () => {
      const target = scheduler();
      finish(target, conversation, 20);
      const emittedIds = Array.from({ length: 10 }, () => 50);
      expect(begin(target, { promptIds: conversation, emittedIds })).toMatchObject([
        { kind: 'start', cachedTokens: 100 },
        { kind: 'step', rows: [{ start: 109, count: 1, sample: true }] },
      ]);
    });

    it('knows what a cancelled sequence has fed', () => {
      const target = scheduler();
      const cancelled = target.submit(request({ promptIds: distinctPrompt(300) }));
      const chunk = nextStep(target);
      target.cancel(cancelled);
      target.submit(request({ promptIds: distinctPrompt(200) }));
      expect(all(target)).toEqual([{ kind: 'release', slot: 0, generation: 1 }]);
      answer(target, chunk);
      expect(all(target)).toMatchObject([
        { kind: 'start', start: { slot: 0 }, cachedTokens: 128 },
        { kind: 'step', rows: [{ start: 128, count: 72 }] },
      ]);
    });
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
