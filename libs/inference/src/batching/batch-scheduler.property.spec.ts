import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { SlotTable } from '../kv/slot-table';
import { BatchScheduler } from './batch-scheduler';
import type { HeadMessage, SequenceEvent, SequenceId, SequenceRequest, StepSamples } from './batch-scheduler.types';

const CONTEXT_LENGTH = 300;
const QUEUE_LIMIT = 3;
const END = 0;

type Action =
  | { kind: 'submit'; prompt: number; emitted: number; maxTokens: number }
  | { kind: 'cancel' | 'park' | 'unpark'; pick: number }
  | { kind: 'feed' }
  | { kind: 'result' };

const action: fc.Arbitrary<Action> = fc.oneof(
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('submit' as const),
      prompt: fc.integer({ min: 1, max: CONTEXT_LENGTH - 10 }),
      emitted: fc.integer({ min: 0, max: 5 }),
      maxTokens: fc.constantFrom(0, 6, 9, 40),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constantFrom('cancel' as const, 'park' as const, 'unpark' as const),
      pick: fc.nat(20),
    }),
  },
  { weight: 6, arbitrary: fc.constant({ kind: 'feed' as const }) },
  { weight: 6, arbitrary: fc.constant({ kind: 'result' as const }) },
);

interface Tracked {
  readonly request: SequenceRequest;
  nextIndex: number;
  ends: number;
  cancelled: boolean;
}

/** A pipeline of one slot table in place of all stages: it refuses whatever a real stage would refuse. */
class SimulatedPipeline {
  readonly sequences = new Map<SequenceId, Tracked>();
  readonly scheduler: BatchScheduler;
  private readonly table: SlotTable;
  private readonly holders = new Map<number, SequenceId>();
  private readonly fed = new Map<number, number>();
  private readonly results: StepSamples[] = [];
  private sampled = 0;

  constructor(
    slots: number,
    private readonly stages: number,
    private readonly endEvery: number,
  ) {
    this.table = new SlotTable({ slots, contextLength: CONTEXT_LENGTH });
    this.scheduler = new BatchScheduler({
      slots,
      contextLength: CONTEXT_LENGTH,
      stages,
      queueLimit: QUEUE_LIMIT,
      endOfGenerationIds: [END],
    });
  }

  submit(request: SequenceRequest): void {
    try {
      const id = this.scheduler.submit(request);
      this.sequences.set(id, { request, nextIndex: request.emittedIds.length, ends: 0, cancelled: false });
    } catch (error) {
      expect(error).toMatchObject({ code: 'queue_full' });
    }
  }

  cancel(pick: number): void {
    const id = this.pick(pick);
    const tracked = id && this.sequences.get(id);
    if (!id || !tracked) return;
    this.scheduler.cancel(id);
    if (tracked.ends > 0) return;
    tracked.cancelled = true;
    tracked.ends += 1;
  }

  pick(pick: number): SequenceId | undefined {
    const ids = [...this.sequences.keys()];
    return ids[pick % Math.max(1, ids.length)];
  }

  /** One message into the pipeline; false when there is none. */
  feed(): boolean {
    const message = this.scheduler.next();
    if (message) this.take(message);
    expect(this.scheduler.stepsInFlight).toBeLessThanOrEqual(this.stages);
    expect(this.scheduler.stepsInFlight).toBe(this.results.length);
    return message !== null;
  }

  /** One result back to the head; false when there is none. */
  answer(): boolean {
    const result = this.results.shift();
    if (!result) return false;
    for (const event of this.scheduler.onResult(result)) this.observe(event);
    return true;
  }

  private take(message: HeadMessage): void {
    if (message.kind === 'start') {
      expect(this.holders.has(message.start.slot)).toBe(false);
      this.table.start(message.start);
      this.holders.set(message.start.slot, message.sequenceId);
      this.fed.set(message.start.slot, 0);
    } else if (message.kind === 'release') {
      this.table.release(message);
      this.holders.delete(message.slot);
    } else {
      expect(message.rows.length === 1 || message.rows.every((row) => row.count === 1)).toBe(true);
      expect(message.tokenIds.length).toBe(message.rows.reduce((sum, row) => sum + row.count, 0));
      for (const row of message.rows) {
        expect(row.start).toBe(this.fed.get(row.slot));
        this.fed.set(row.slot, row.start + row.count);
      }
      this.table.accept(message.rows);
      const sampling = message.rows.filter((row) => row.sample);
      const samples = sampling.map(({ slot, generation }) => ({ slot, generation, id: this.nextId() }));
      this.results.push({ step: message.step, samples });
    }
  }

  private observe(event: SequenceEvent): void {
    const tracked = this.sequences.get(event.sequenceId);
    if (!tracked) throw new Error(`an event of the unknown sequence ${event.sequenceId}`);
    expect(tracked.ends).toBe(0);
    if (event.kind === 'token') {
      expect(event.index).toBe(tracked.nextIndex++);
      expect(event.id).not.toBe(END);
      return;
    }
    tracked.ends += 1;
    expect(event.completionTokens).toBe(tracked.nextIndex);
    if (event.reason === 'length') {
      const room = CONTEXT_LENGTH - tracked.request.promptIds.length;
      const asked = tracked.request.maxTokens;
      expect(tracked.nextIndex).toBe(asked > 0 ? Math.min(asked, room) : room);
    }
  }

  private nextId(): number {
    this.sampled += 1;
    return this.sampled % this.endEvery === 0 ? END : 1 + (this.sampled % 50);
  }
}

function apply(pipeline: SimulatedPipeline, step: Action): void {
  if (step.kind === 'submit') {
    pipeline.submit({
      promptIds: Array.from({ length: step.prompt }, (_, index) => 1 + (index % 50)),
      emittedIds: Array.from({ length: step.emitted }, () => 7),
      maxTokens: step.maxTokens,
      sampling: { temperature: 0, topP: 1 },
      seed: 1,
      choiceIndex: 0,
    });
  } else if (step.kind === 'feed') {
    pipeline.feed();
  } else if (step.kind === 'result') {
    pipeline.answer();
  } else if (step.kind === 'cancel') {
    pipeline.cancel(step.pick);
  } else {
    const id = pipeline.pick(step.pick);
    if (id) pipeline.scheduler[step.kind](id);
  }
}

describe('BatchScheduler under random arrivals, cancellations and stalls', () => {
  it('ends each sequence once, in order, within its slots and credits', () => {
    fc.assert(
      fc.property(
        fc.array(action, { maxLength: 400 }),
        fc.integer({ min: 1, max: 5 }),
        fc.integer({ min: 1, max: 4 }),
        fc.integer({ min: 5, max: 200 }),
        (actions, slots, stages, endEvery) => {
          const pipeline = new SimulatedPipeline(slots, stages, endEvery);
          for (const step of actions) apply(pipeline, step);
          for (const id of pipeline.sequences.keys()) pipeline.scheduler.unpark(id);
          while (pipeline.feed() || pipeline.answer());
          expect([...pipeline.sequences.values()].every((sequence) => sequence.ends === 1)).toBe(true);
          expect(pipeline.scheduler.slotsInUse).toBe(0);
          expect(pipeline.scheduler.runningSequences + pipeline.scheduler.waitingSequences).toBe(0);
          expect(pipeline.scheduler.stepsInFlight).toBe(0);
        },
      ),
      { numRuns: 200 },
    );
  });
});
