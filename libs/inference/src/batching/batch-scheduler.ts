import { PangalacticError, type Row } from '@pangalactic/contracts';
import type {
  HeadMessage,
  HeadStep,
  SequenceEvent,
  SequenceId,
  SequenceRequest,
  StepPhase,
  StepSamples,
} from './batch-scheduler.types';
import { nextDecodeGroup } from './decode-groups';
import { largestChunk } from './prompt-chunks';
import { completionLimit, type Feed, Sequence, WaitingSequence } from './sequence';
import { SlotPool } from './slot-pool';

export interface BatchSchedulerOptions {
  readonly slots: number;
  readonly contextLength: number;
  readonly stages: number;
  /** Sequences that may wait for a slot. */
  readonly queueLimit: number;
  /** Token ids that end a completion and are not part of it. */
  readonly endOfGenerationIds: readonly number[];
}

/** A sequence whose turn it is to feed a chunk, in its slot already or not. */
type Prefilling = Sequence | WaitingSequence;

/** Steps whose results are outstanding at any time: one decode step per sequence at worst, and one chunk per stage. */
export function stepsInFlightLimit({ slots, stages }: Pick<BatchSchedulerOptions, 'slots' | 'stages'>): number {
  return slots + stages;
}

/**
 * The head's plan of who computes next, as a state machine without clock or I/O. `next` says what to feed into the
 * pipeline; the tail's results come back through `onResult`, one per step, and are the credits for more.
 *
 * Decode steps take one token of each sequence of a group, prefill steps one chunk of one sequence. While both have work,
 * a chunk goes after each round of decode steps. Each kind has its own credits: chunks fill all stages, whatever decodes.
 */
export class BatchScheduler {
  /** Groups of decoding sequences, each with at most one step in flight; see `MicroBatches`. May change at any time. */
  microBatches: number;

  private readonly slots: SlotPool;
  private readonly endOfGenerationIds: ReadonlySet<number>;
  private readonly waiting = new Map<SequenceId, WaitingSequence>();
  /** In order of admission. */
  private readonly running = new Map<SequenceId, Sequence>();
  private readonly holders = new Map<number, Sequence>();
  /** Releases and copies, which go before anything else. */
  private readonly commands: HeadMessage[] = [];
  private readonly inFlight: HeadStep[] = [];
  private lastSequenceId = 0;
  private lastStep = 0;
  private decodeStepsSincePrefill = 0;
  private prefillSteps = 0;
  private failed = false;

  constructor(private readonly options: BatchSchedulerOptions) {
    this.microBatches = options.stages;
    this.slots = new SlotPool(options);
    this.endOfGenerationIds = new Set(options.endOfGenerationIds);
  }

  get stages(): number {
    return this.options.stages;
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
    const id = ++this.lastSequenceId;
    const sequence = new WaitingSequence(id, request);
    const limit = this.options.queueLimit;
    // New ones cannot keep resumed ones out, which go before them anyway. Those that find a free slot do not wait.
    const ahead = sequence.isResumed ? this.resumedOf(this.waiting.values()).length : this.waiting.size;
    if (ahead >= limit + this.slots.free) {
      throw new PangalacticError('queue_full', `${limit} sequences wait for a slot already`, { retryAfterSeconds: 1 });
    }
    this.waiting.set(id, sequence);
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
    return this.nextCommand() ?? this.nextStep();
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

  private nextCommand(): HeadMessage | undefined {
    const command = this.commands.shift();
    // Every stage sees the release before whatever the next holder sends: the slot is free from here on.
    if (command?.kind === 'release') this.slots.release(command.slot);
    return command;
  }

  private nextStep(): HeadMessage | null {
    const decoding = [...this.running.values()].filter((sequence) => sequence.isDecoding && !sequence.parked);
    const group = this.inFlightOf('decode') < this.microBatches && nextDecodeGroup(decoding, this.microBatches);
    const round = Math.min(this.microBatches, decoding.length);
    if (!group || this.decodeStepsSincePrefill >= round) {
      const chosen = this.nextToPrefill();
      if (chosen instanceof WaitingSequence) return this.admit(chosen);
      if (chosen) return this.prefillStep(chosen, decoding.length > 0);
    }
    return group ? this.decodeStep(group) : null;
  }

  private prefillStep(sequence: Sequence, besideDecode: boolean): HeadStep {
    this.decodeStepsSincePrefill = 0;
    this.prefillSteps += 1;
    return this.step('prefill', [sequence.feedChunk(largestChunk(besideDecode))]);
  }

  private decodeStep(group: readonly Sequence[]): HeadStep {
    this.decodeStepsSincePrefill += 1;
    return this.step(
      'decode',
      group.map((sequence) => sequence.feedSampled()),
    );
  }

  /**
   * Chunks go to whoever has the least left to feed, so that short prompts need not wait for long ones, and every second
   * one to the oldest, so that long prompts get through. A sequence takes its slot only when its turn comes: by then those
   * before it have computed what it may have in common with them.
   */
  private nextToPrefill(): Prefilling | undefined {
    if (this.inFlightOf('prefill') >= this.options.stages) return undefined;
    const prefilling = [...this.running.values()].filter(
      ({ tokensToPrefill, parked }) => tokensToPrefill > 0 && !parked,
    );
    const all: Prefilling[] = [...prefilling, ...this.admissible()];
    const resumed = all.filter(({ isResumed }) => isResumed);
    const candidates = resumed.length > 0 ? resumed : all;
    if (this.prefillSteps % 2 === 1) return candidates[0];
    const left = candidates.map((candidate) => this.tokensToPrefill(candidate));
    return candidates[left.indexOf(Math.min(...left))];
  }

  /** Those at the front of the queue for whom a slot is free; whoever lost a pipeline goes first. */
  private admissible(): WaitingSequence[] {
    if (this.slots.free === 0) return [];
    const waiting = [...this.waiting.values()];
    const resumed = this.resumedOf(waiting);
    return [...resumed, ...waiting.filter(({ isResumed }) => !isResumed)].slice(0, this.slots.free);
  }

  private resumedOf(waiting: Iterable<WaitingSequence>): WaitingSequence[] {
    return [...waiting].filter(({ isResumed }) => isResumed);
  }

  private tokensToPrefill(candidate: Prefilling): number {
    if (candidate instanceof Sequence) return candidate.tokensToPrefill;
    const { replay, promptLength } = candidate;
    return replay.length - this.slots.reusablePrefix(replay, promptLength);
  }

  private admit(waiting: WaitingSequence): HeadMessage {
    const { replay, promptLength, id } = waiting;
    const placement = this.slots.acquire(replay, promptLength);
    const sequence = new Sequence(waiting, placement, completionLimit(waiting.request, this.options.contextLength));
    this.waiting.delete(id);
    this.running.set(id, sequence);
    this.holders.set(placement.slot, sequence);
    const { slot, copyFrom, reusedTokens } = placement;
    if (copyFrom !== undefined) {
      this.commands.push({ kind: 'copy', fromSlot: copyFrom, toSlot: slot, count: reusedTokens });
    }
    return { kind: 'start', sequenceId: id, start: sequence.start, cachedTokens: Math.min(reusedTokens, promptLength) };
  }

  private inFlightOf(phase: StepPhase): number {
    return this.inFlight.filter((step) => step.phase === phase).length;
  }

  private step(phase: HeadStep['phase'], feeds: readonly Feed[]): HeadStep {
    for (const { row, ids } of feeds) this.slots.feed(row.slot, row.start, ids);
    const step: HeadStep = {
      kind: 'step',
      step: ++this.lastStep,
      phase,
      rows: feeds.map((feed) => feed.row),
      tokenIds:
        feeds.length === 1 && feeds[0] ? feeds[0].ids : Uint32Array.from(feeds.flatMap((feed) => [...feed.ids])),
    };
    this.inFlight.push(step);
    return step;
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
    this.commands.push({ kind: 'release', slot: sequence.slot, generation: sequence.generation });
  }
}

function invalidFrame(message: string): PangalacticError {
  return new PangalacticError('invalid_frame', message);
}
