import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { SlotTable } from '../kv/slot-table';
import { BatchScheduler, stepsInFlightLimit } from './batch-scheduler';
import type {
  HeadMessage,
  HeadStep,
  SequenceEvent,
  SequenceId,
  SequenceRequest,
  StepSamples,
} from './batch-scheduler.types';

const CONTEXT_LENGTH = 300;
const QUEUE_LIMIT = 3;
const END = 0;

type Action =
  | { kind: 'submit'; family: number; shared: number; prompt: number; emitted: number; maxTokens: number }
  | { kind: 'cancel' | 'park' | 'unpark'; pick: number }
  | { kind: 'microBatches'; count: number }
  | { kind: 'feed' }
  | { kind: 'result' };

const action: fc.Arbitrary<Action> = fc.oneof(
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('submit' as const),
      family: fc.nat(2),
      shared: fc.constantFrom(0, 40, 41, 150, CONTEXT_LENGTH),
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
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant('microBatches' as const), count: fc.integer({ min: 1, max: 6 }) }),
  },
  { weight: 6, arbitrary: fc.constant({ kind: 'feed' as const }) },
  { weight: 6, arbitrary: fc.constant({ kind: 'result' as const }) },
);

interface Tracked {
  readonly request: SequenceRequest;
  /** Completion tokens so far. */
  readonly completion: number[];
  ends: number;
}

/**
 * A pipeline of one stage in place of all: its slot table refuses whatever a real stage would refuse, and its KV is the
 * token ids themselves, so that a token can be sampled only after exactly the tokens before it.
 */
class SimulatedPipeline {
  readonly sequences = new Map<SequenceId, Tracked>();
  readonly scheduler: BatchScheduler;
  cachedTokens = 0;
  private readonly table: SlotTable;
  private readonly kv: number[][];
  private readonly holders = new Map<number, SequenceId>();
  private readonly results: StepSamples[] = [];
  private sampled = 0;

  constructor(
    private readonly slots: number,
    private readonly stages: number,
    private readonly endEvery: number,
  ) {
    this.table = new SlotTable({ slots, contextLength: CONTEXT_LENGTH });
    this.kv = Array.from({ length: slots }, () => []);
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
      this.sequences.set(id, { request, completion: [...request.emittedIds], ends: 0 });
    } catch (error) {
      expect(error).toMatchObject({ code: 'queue_full' });
    }
  }

  cancel(pick: number): void {
    const id = this.pick(pick);
    const tracked = id && this.sequences.get(id);
    if (!id || !tracked) return;
    this.scheduler.cancel(id);
    if (tracked.ends === 0) tracked.ends += 1;
  }

  pick(pick: number): SequenceId | undefined {
    const ids = [...this.sequences.keys()];
    return ids[pick % Math.max(1, ids.length)];
  }

  /** One message into the pipeline; false when there is none. */
  feed(): boolean {
    const message = this.scheduler.next();
    if (message) this.take(message);
    const { slots, stages } = this;
    expect(this.scheduler.stepsInFlight).toBeLessThanOrEqual(stepsInFlightLimit({ slots, stages }));
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
      const { start, sequenceId, cachedTokens } = message;
      expect(this.holders.has(start.slot)).toBe(false);
      expect(cachedTokens).toBeLessThanOrEqual(start.promptIds.length);
      this.table.start(start);
      this.holders.set(start.slot, sequenceId);
      this.cachedTokens += cachedTokens;
    } else if (message.kind === 'release') {
      this.table.release(message);
      this.holders.delete(message.slot);
    } else if (message.kind === 'copy') {
      this.table.copy(message);
      this.kv[message.toSlot] = this.kv[message.fromSlot]!.slice(0, message.count);
    } else {
      this.compute(message);
    }
  }

  private compute({ step, rows, tokenIds }: HeadStep): void {
    expect(rows.length === 1 || rows.every((row) => row.count === 1)).toBe(true);
    expect(rows.map((row) => row.slot)).toEqual([...rows.map((row) => row.slot)].sort((a, b) => a - b));
    this.table.accept(rows);
    let offset = 0;
    for (const { slot, start, count } of rows) {
      this.kv[slot] = [...this.kv[slot]!.slice(0, start), ...tokenIds.subarray(offset, (offset += count))];
    }
    expect(offset).toBe(tokenIds.length);
    const samples = rows
      .filter((row) => row.sample)
      .map(({ slot, generation }) => {
        const tracked = this.sequences.get(this.holders.get(slot)!)!;
        expect(this.kv[slot]).toEqual([...tracked.request.promptIds, ...tracked.completion]);
        return { slot, generation, id: this.nextId() };
      });
    this.results.push({ step, samples });
  }

  private observe(event: SequenceEvent): void {
    const tracked = this.sequences.get(event.sequenceId);
    if (!tracked) throw new Error(`an event of the unknown sequence ${event.sequenceId}`);
    expect(tracked.ends).toBe(0);
    if (event.kind === 'token') {
      expect(event.index).toBe(tracked.completion.length);
      expect(event.id).not.toBe(END);
      tracked.completion.push(event.id);
      return;
    }
    tracked.ends += 1;
    expect(event.completionTokens).toBe(tracked.completion.length);
    if (event.reason === 'length') {
      const room = CONTEXT_LENGTH - tracked.request.promptIds.length;
      const asked = tracked.request.maxTokens;
      expect(tracked.completion.length).toBe(asked > 0 ? Math.min(asked, room) : room);
    }
  }

  private nextId(): number {
    this.sampled += 1;
    return this.sampled % this.endEvery === 0 ? END : 1 + (this.sampled % 50);
  }
}

/** Prompts of a family begin alike, up to a length of their own. */
function promptOf({ family, shared, prompt }: Extract<Action, { kind: 'submit' }>): number[] {
  return Array.from({ length: prompt }, (_, index) => 1 + (index < shared ? family : 3 + (shared % 40)));
}

function apply(pipeline: SimulatedPipeline, step: Action): void {
  if (step.kind === 'submit') {
    pipeline.submit({
      promptIds: promptOf(step),
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
  } else if (step.kind === 'microBatches') {
    pipeline.scheduler.microBatches = step.count;
  } else {
    const id = pipeline.pick(step.pick);
    if (id) pipeline.scheduler[step.kind](id);
  }
}

describe('BatchScheduler under random arrivals, cancellations and stalls', () => {
  it('ends each sequence once, in order, within its slots and credits, after exactly its own tokens', () => {
    let cachedTokens = 0;
    fc.assert(
      fc.property(
        fc.array(action, { minLength: 1, maxLength: 400, size: 'max' }),
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
          cachedTokens += pipeline.cachedTokens;
        },
      ),
      { numRuns: 150 },
    );
    expect(cachedTokens).toBeGreaterThan(10_000);
  });
});
