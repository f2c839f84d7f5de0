import { PangalacticError, type Row } from '@pangalactic/contracts';
import type {
  HeadMessage,
  HeadStep,
  SequenceEvent,
  SequenceId,
  SequenceRequest,
  StepSamples,
} from './batch-scheduler.types';
import { completionLimit, Sequence, type Feed } from './sequence';
import { SlotPool } from './slot-pool';

export interface BatchSchedulerOptions {
  readonly slots: number;
  readonly contextLength: number;
  /** Steps in flight at most: one per stage keeps all stages busy. */
  readonly stages: number;
  /** Sequences that may wait for a slot. */
  readonly queueLimit: number;
  /** Token ids that end a completion and are not part of it. */
  readonly endOfGenerationIds: readonly number[];
}

/**
 * The head's plan of who computes next, as a state machine without clock or I/O. `next` says what to feed into the
 * pipeline; the tail's results come back through `onResult`, one per step, and are the credits for more.
 *
 * Decode steps take one token of each of several sequences, prefill steps one chunk of one sequence, and the two alternate
 * while both have work. Decoding sequences form as many groups as there are stages.
 */
export class BatchScheduler {
  private readonly slots: SlotPool;
  private readonly endOfGenerationIds: ReadonlySet<number>;
  private readonly waiting = new Map<SequenceId, SequenceRequest>();
  /** In order of admission. */
  private readonly running = new Map<SequenceId, Sequence>();
  private readonly holders = new Map<number, Sequence>();
  private readonly releases: { slot: number; generation: number }[] = [];
  private readonly inFlight: HeadStep[] = [];
  private lastSequenceId = 0;
  private lastStep = 0;
  private preferDecode = false;
  private failed = false;

  constructor(private readonly options: BatchSchedulerOptions) {
    this.slots = new SlotPool(options.slots);
    this.endOfGenerationIds = new Set(options.endOfGenerationIds);
  }

  get waitingSequences(): number {
    return this.waiting.size;
  }

  get runningSequences(): number {
    return this.running.size;
  }

  get slotsInUse(): number {
    return this.slots.used;
  }

  get stepsInFlight(): number {
    return this.inFlight.length;
  }

  /** @throws PangalacticError `queue_full`, `pipeline_broken` */
  submit(request: SequenceRequest): SequenceId {
    if (this.failed) throw new PangalacticError('pipeline_broken', 'the pipeline is broken');
    const limit = this.options.queueLimit;
    // Those that find a free slot do not wait.
    if (this.waiting.size >= limit + this.slots.size - this.slots.used) {
      throw new PangalacticError('queue_full', `${limit} sequences wait for a slot already`, { retryAfterSeconds: 1 });
    }
    const id = ++this.lastSequenceId;
    this.waiting.set(id, request);
    return id;
  }

  /** Ends a sequence without an event. One that ended already is ignored: cancellation races with the last token. */
  cancel(id: SequenceId): void {
    this.waiting.delete(id);
    const sequence = this.running.get(id);
    if (sequence) this.end(sequence);
  }

  /** A parked sequence keeps its slot and feeds nothing. */
  park(id: SequenceId): void {
    const sequence = this.running.get(id);
    if (sequence) sequence.parked = true;
  }

  unpark(id: SequenceId): void {
    const sequence = this.running.get(id);
    if (sequence) sequence.parked = false;
  }

  /** Ends everything: no message follows, results are no longer taken. Returns the sequences that were cut short. */
  fail(): SequenceId[] {
    this.failed = true;
    const ids = [...this.running.keys(), ...this.waiting.keys()];
    this.running.clear();
    this.waiting.clear();
    this.holders.clear();
    return ids;
  }

  /** The next message for the pipeline, or null until a call changes something. */
  next(): HeadMessage | null {
    if (this.failed) return null;
    return this.nextRelease() ?? this.nextStart() ?? this.nextStep();
  }

  /**
   * Takes the result of the oldest step in flight. Samples for a slot that has changed hands since are dropped.
   * @throws PangalacticError `invalid_frame` when it is not the answer to that step
   */
  onResult(result: StepSamples): SequenceEvent[] {
    if (this.failed) return [];
    const step = this.inFlight.shift();
    if (step?.step !== result.step) {
      throw invalidFrame(`result of step ${result.step}, expected was ${step ? `step ${step.step}` : 'none'}`);
    }
    const sampledRows = step.rows.filter((row) => row.sample);
    if (result.samples.length !== sampledRows.length) {
      throw invalidFrame(
        `step ${step.step} samples ${sampledRows.length} tokens, its result has ${result.samples.length}`,
      );
    }
    return sampledRows.flatMap((row) => this.takeSample(row, result));
  }

  private nextRelease(): HeadMessage | undefined {
    const release = this.releases.shift();
    if (!release) return undefined;
    // Every stage sees the release before whatever the next holder sends: the slot is free from here on.
    this.slots.release(release.slot);
    return { kind: 'release', ...release };
  }

  private nextStart(): HeadMessage | undefined {
    const first = this.waiting.entries().next().value;
    if (!first) return undefined;
    const place = this.slots.acquire();
    if (!place) return undefined;
    const [id, request] = first;
    const limit = completionLimit(request, this.options.contextLength);
    const sequence = new Sequence(id, place.slot, place.generation, request, limit);
    this.waiting.delete(id);
    this.running.set(id, sequence);
    this.holders.set(place.slot, sequence);
    return { kind: 'start', sequenceId: id, start: sequence.start };
  }

  private nextStep(): HeadMessage | null {
    if (this.inFlight.length >= this.options.stages) return null;
    const step = this.preferDecode
      ? (this.decodeStep() ?? this.prefillStep())
      : (this.prefillStep() ?? this.decodeStep());
    if (!step) return null;
    this.preferDecode = step.phase === 'prefill';
    this.inFlight.push(step);
    return step;
  }

  private prefillStep(): HeadStep | undefined {
    for (const sequence of this.running.values()) {
      if (sequence.isPrefilling && !sequence.parked) return this.step('prefill', [sequence.feedChunk()]);
    }
    return undefined;
  }

  private decodeStep(): HeadStep | undefined {
    const decoding = [...this.running.values()].filter((sequence) => !sequence.isPrefilling && !sequence.parked);
    const ready = decoding.filter((sequence) => sequence.isReadyToDecode);
    if (ready.length === 0) return undefined;
    const group = ready
      .sort((a, b) => a.readySince - b.readySince || a.slot - b.slot)
      .slice(0, Math.ceil(decoding.length / this.options.stages))
      .sort((a, b) => a.slot - b.slot);
    return this.step(
      'decode',
      group.map((sequence) => sequence.feedSampled()),
    );
  }

  private step(phase: HeadStep['phase'], feeds: readonly Feed[]): HeadStep {
    return {
      kind: 'step',
      step: ++this.lastStep,
      phase,
      rows: feeds.map((feed) => feed.row),
      tokenIds:
        feeds.length === 1 && feeds[0] ? feeds[0].ids : Uint32Array.from(feeds.flatMap((feed) => [...feed.ids])),
    };
  }

  private takeSample(row: Row, result: StepSamples): SequenceEvent[] {
    const sample = result.samples.find(({ slot, generation }) => slot === row.slot && generation === row.generation);
    if (!sample) throw invalidFrame(`result of step ${result.step} has no sample for slot ${row.slot}`);
    const sequence = this.holders.get(row.slot);
    if (sequence?.generation !== row.generation) return [];
    const sequenceId = sequence.id;
    if (this.endOfGenerationIds.has(sample.id)) {
      this.end(sequence);
      return [{ kind: 'finished', sequenceId, reason: 'stop', completionTokens: sequence.completionTokens }];
    }
    const index = sequence.completionTokens;
    sequence.takeSample(sample.id, result.step);
    const { id, logprobs } = sample;
    const token: SequenceEvent = { kind: 'token', sequenceId, index, id, logprobs };
    if (sequence.completionTokens < sequence.limit) return [token];
    this.end(sequence);
    return [token, { kind: 'finished', sequenceId, reason: 'length', completionTokens: sequence.completionTokens }];
  }

  private end(sequence: Sequence): void {
    this.running.delete(sequence.id);
    this.holders.delete(sequence.slot);
    this.releases.push({ slot: sequence.slot, generation: sequence.generation });
  }
}

function invalidFrame(message: string): PangalacticError {
  return new PangalacticError('invalid_frame', message);
}
