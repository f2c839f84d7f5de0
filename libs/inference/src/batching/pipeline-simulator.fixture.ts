import { PangalacticError } from '@pangalactic/contracts';
import { SlotTable } from '../kv/slot-table';
import { BatchScheduler } from './batch-scheduler';
import type { HeadMessage, HeadStep, SequenceId, SequenceRequest, StepSamples } from './batch-scheduler.types';
import { type DecodeStepTimes, MicroBatches } from './micro-batches';

/** What a stage needs for a step, in milliseconds. */
export interface StageTimes {
  readonly decodeStepMs: number;
  readonly decodeRowMs: number;
  /** Attention over each token that a lane of a decode step holds, also of lanes without a row. */
  readonly laneTokenMs: number;
  readonly prefillStepMs: number;
  readonly prefillTokenMs: number;
  readonly copyTokenMs: number;
}

export interface Arrival {
  readonly atMs: number;
  readonly promptIds: readonly number[];
  readonly outputTokens: number;
  /** The caller goes away this long after it came. */
  readonly cancelAfterMs?: number;
}

export interface SimulationOptions {
  readonly stages: readonly StageTimes[];
  /** From one stage to the next, and from the tail to the head. */
  readonly hopMs: number;
  /** Time on the wire for the hidden states of one token; a hop carries one message after the other. Default: 0. */
  readonly hopTokenMs?: number;
  readonly slots: number;
  readonly contextLength: number;
  /** Default: as many as the times of the steps say. */
  readonly microBatches?: number;
  readonly queueLimit: number;
}

export interface SimulatedSequence {
  readonly arrival: Arrival;
  outcome: 'waiting' | 'running' | 'finished' | 'cancelled' | 'refused';
  cachedTokens: number;
  /** When each token came. */
  readonly tokensAtMs: number[];
}

export interface Simulation {
  /** In order of arrival. */
  readonly sequences: readonly SimulatedSequence[];
  readonly durationMs: number;
  /** Share of the time with work in which each stage computed. */
  readonly utilisation: readonly number[];
  /** In the end. */
  readonly microBatches: number;
}

/**
 * A pipeline of stages that only take time, fed by a real scheduler: what happens when, for a trace of arrivals. Stages keep
 * their slots in a SlotTable, which refuses whatever a real stage would refuse.
 */
export function simulate(arrivals: readonly Arrival[], options: SimulationOptions): Simulation {
  return new PipelineSimulator(arrivals, options).run();
}

interface TimedEvent {
  readonly atMs: number;
  readonly happen: () => void;
}

class PipelineSimulator {
  private readonly scheduler: BatchScheduler;
  private readonly microBatches: MicroBatches;
  private readonly table: SlotTable;
  private readonly sequences: SimulatedSequence[];
  private readonly bySequenceId = new Map<SequenceId, SimulatedSequence>();
  private readonly events: TimedEvent[] = [];
  private readonly freeAtMs: number[];
  private readonly hopFreeAtMs: number[];
  private readonly busyMs: number[];
  private nowMs = 0;
  /** Like a real stage, the first one takes one message more than it computes. */
  private admitsAtMs = 0;
  private withWorkMs = 0;

  constructor(
    arrivals: readonly Arrival[],
    private readonly options: SimulationOptions,
  ) {
    const { slots, contextLength, microBatches, queueLimit } = options;
    this.scheduler = new BatchScheduler({
      ...{ slots, contextLength, queueLimit },
      stages: options.stages.length,
      endOfGenerationIds: [],
    });
    if (microBatches !== undefined) this.scheduler.microBatches = microBatches;
    this.microBatches = new MicroBatches(options.stages.length);
    this.table = new SlotTable({ slots, contextLength });
    this.freeAtMs = options.stages.map(() => 0);
    this.hopFreeAtMs = options.stages.map(() => 0);
    this.busyMs = options.stages.map(() => 0);
    this.sequences = arrivals.map((arrival) => ({ arrival, outcome: 'waiting', cachedTokens: 0, tokensAtMs: [] }));
    for (const sequence of this.sequences) this.at(sequence.arrival.atMs, () => this.arrive(sequence));
  }

  run(): Simulation {
    for (let event = this.events.shift(); event; event = this.events.shift()) {
      if (this.hasWork) this.withWorkMs += event.atMs - this.nowMs;
      this.nowMs = event.atMs;
      event.happen();
      this.feed();
    }
    const utilisation = this.busyMs.map((busy) => busy / this.withWorkMs);
    const { microBatches } = this.scheduler;
    return { sequences: this.sequences, durationMs: this.nowMs, utilisation, microBatches };
  }

  private get hasWork(): boolean {
    const { waitingSequences, runningSequences } = this.scheduler;
    // Stages compute to its end what was sent for a sequence that is cancelled.
    return waitingSequences + runningSequences > 0 || this.freeAtMs.some((freeAtMs) => freeAtMs > this.nowMs);
  }

  private at(atMs: number, happen: () => void): void {
    let index = this.events.length;
    while (index > 0 && (this.events[index - 1]?.atMs ?? 0) > atMs) index--;
    this.events.splice(index, 0, { atMs, happen });
  }

  private arrive(sequence: SimulatedSequence): void {
    const { promptIds, outputTokens, cancelAfterMs } = sequence.arrival;
    const request: SequenceRequest = {
      ...{ promptIds, emittedIds: [], maxTokens: outputTokens, seed: 1, choiceIndex: 0 },
      sampling: { temperature: 0, topP: 1 },
    };
    try {
      const id = this.scheduler.submit(request);
      this.bySequenceId.set(id, sequence);
      if (cancelAfterMs !== undefined) this.at(this.nowMs + cancelAfterMs, () => this.cancel(id, sequence));
    } catch (error) {
      if (!(error instanceof PangalacticError && error.code === 'queue_full')) throw error;
      sequence.outcome = 'refused';
    }
  }

  private cancel(id: SequenceId, sequence: SimulatedSequence): void {
    if (sequence.outcome === 'finished') return;
    sequence.outcome = 'cancelled';
    this.scheduler.cancel(id);
  }

  private feed(): void {
    while (this.nowMs >= this.admitsAtMs) {
      const message = this.scheduler.next();
      if (!message) return;
      this.send(message);
    }
  }

  private send(message: HeadMessage): void {
    if (message.kind === 'step') return this.sendStep(message);
    if (message.kind === 'copy') {
      this.table.copy(message);
      this.pass((times) => message.count * times.copyTokenMs, 0);
    } else if (message.kind === 'release') {
      this.table.release(message);
    } else {
      this.table.start(message.start);
      const sequence = this.bySequenceId.get(message.sequenceId)!;
      sequence.outcome = 'running';
      sequence.cachedTokens = message.cachedTokens;
    }
  }

  private sendStep(step: HeadStep): void {
    this.table.accept(step.rows);
    const lanes = this.laneTokens(step);
    const cost = (times: StageTimes) =>
      step.phase === 'prefill'
        ? times.prefillStepMs + times.prefillTokenMs * step.tokenIds.length
        : times.decodeStepMs + times.decodeRowMs * step.rows.length + times.laneTokenMs * lanes;
    const { doneAtMs, transferMs } = this.pass(cost, step.tokenIds.length);
    const samples = step.rows
      .filter((row) => row.sample)
      .map(({ slot, generation, start }) => ({ slot, generation, id: 1 + (start % 1_000) }));
    this.at(doneAtMs, () => {
      if (step.phase === 'decode') this.observe({ computeMs: this.options.stages.map(cost), transferMs });
      this.result({ step: step.step, samples });
    });
    this.at(this.admitsAtMs, () => undefined);
  }

  private observe(times: DecodeStepTimes): void {
    this.microBatches.observe(times);
    if (this.options.microBatches === undefined) this.scheduler.microBatches = this.microBatches.count;
  }

  /** Sends a message through all stages. Each takes it when it is there and the stage has done what came before. */
  private pass(cost: (times: StageTimes) => number, tokens: number): { doneAtMs: number; transferMs: number } {
    const { stages, hopMs, hopTokenMs = 0 } = this.options;
    let atMs = this.nowMs;
    let transferMs = 0;
    stages.forEach((times, stage) => {
      const startMs = Math.max(atMs, this.freeAtMs[stage]!);
      if (stage === 0) this.admitsAtMs = startMs;
      const computeMs = cost(times);
      this.busyMs[stage]! += computeMs;
      const computedAtMs = startMs + computeMs;
      this.freeAtMs[stage] = computedAtMs;
      const isTail = stage === stages.length - 1;
      const sentAtMs = isTail ? computedAtMs : Math.max(computedAtMs, this.hopFreeAtMs[stage]!) + tokens * hopTokenMs;
      this.hopFreeAtMs[stage] = sentAtMs;
      atMs = sentAtMs + (stages.length > 1 ? hopMs : 0);
      transferMs += atMs - computedAtMs;
    });
    return { doneAtMs: atMs, transferMs };
  }

  private laneTokens({ rows }: HeadStep): number {
    const slots = rows.map(({ slot }) => slot);
    let tokens = 0;
    for (let slot = Math.min(...slots); slot <= Math.max(...slots); slot++) tokens += this.table.length(slot);
    return tokens;
  }

  private result(result: StepSamples): void {
    for (const event of this.scheduler.onResult(result)) {
      const sequence = this.bySequenceId.get(event.sequenceId)!;
      if (event.kind === 'token') sequence.tokensAtMs.push(this.nowMs);
      else sequence.outcome = 'finished';
    }
  }
}
