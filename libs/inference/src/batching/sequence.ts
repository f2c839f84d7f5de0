import type { Row } from '@pangalactic/contracts';
import type { SequenceStart } from '../inference-provider';
import type { SequenceId, SequenceRequest } from './batch-scheduler.types';
import { chunkSize } from './prompt-chunks';
import type { Placement } from './slot-pool';

/** Completion tokens after which a sequence ends: what it asked for, or what the context leaves. */
export function completionLimit(request: SequenceRequest, contextLength: number): number {
  const room = contextLength - request.promptIds.length;
  return request.maxTokens > 0 ? Math.min(request.maxTokens, room) : room;
}

/** One row of a step and the ids it feeds. */
export interface Feed {
  readonly row: Row;
  readonly ids: Uint32Array;
}

/** A request that waits for a slot, with everything that it has to feed before it can sample. */
export class WaitingSequence {
  readonly replay: Uint32Array;

  constructor(
    readonly id: SequenceId,
    readonly request: SequenceRequest,
  ) {
    this.replay = Uint32Array.from([...request.promptIds, ...request.emittedIds]);
  }

  get promptLength(): number {
    return this.request.promptIds.length;
  }

  /** Goes on with a completion that another attempt began. */
  get isResumed(): boolean {
    return this.request.emittedIds.length > 0;
  }
}

/**
 * A sequence in a slot. It feeds the prompt, then the emitted tokens, in chunks that need not wait for each other; then
 * one sampled token at a time. The token sampled last is never in the KV: the valid length is the number of tokens fed.
 */
export class Sequence {
  readonly id: SequenceId;
  readonly slot: number;
  readonly generation: number;
  parked = false;
  /** Orders decode turns: whoever waits longest goes first. */
  readySince = 0;
  /** Completion tokens so far, emitted ones included. */
  completionTokens: number;

  private fed: number;
  private sampled: number | undefined;
  private hasSampled = false;

  constructor(
    private readonly origin: WaitingSequence,
    placement: Placement,
    readonly limit: number,
  ) {
    this.id = origin.id;
    this.slot = placement.slot;
    this.generation = placement.generation;
    this.fed = placement.reusedTokens;
    this.completionTokens = origin.request.emittedIds.length;
  }

  get isResumed(): boolean {
    return this.origin.isResumed;
  }

  get start(): SequenceStart {
    const { promptIds, emittedIds, sampling, seed, choiceIndex } = this.origin.request;
    return { slot: this.slot, generation: this.generation, sampling, seed, choiceIndex, promptIds, emittedIds };
  }

  /** Tokens of the prompt and of earlier attempts that are not fed yet. */
  get tokensToPrefill(): number {
    return Math.max(0, this.origin.replay.length - this.fed);
  }

  /** Its first token has come: from then on it takes part in decode steps. */
  get isDecoding(): boolean {
    return this.hasSampled;
  }

  /** A sampled token waits to be fed; false while a step that samples is in flight. */
  get isReadyToDecode(): boolean {
    return this.sampled !== undefined;
  }

  /** Prompt and emitted tokens never share a chunk: emitted ones were first fed one by one. */
  feedChunk(largest: number): Feed {
    const { replay, promptLength } = this.origin;
    const end = this.fed < promptLength ? promptLength : replay.length;
    const count = chunkSize(end - this.fed, largest);
    return this.feed(replay.slice(this.fed, this.fed + count), this.fed + count === replay.length);
  }

  feedSampled(): Feed {
    const id = this.sampled;
    if (id === undefined) throw new Error(`sequence ${this.id} has no sampled token to feed`);
    this.sampled = undefined;
    return this.feed(Uint32Array.of(id), true);
  }

  /** The tail's answer to the step that sampled last. */
  takeSample(id: number, readySince: number): void {
    this.sampled = id;
    this.hasSampled = true;
    this.readySince = readySince;
    this.completionTokens += 1;
  }

  private feed(ids: Uint32Array, sample: boolean): Feed {
    const row = { slot: this.slot, generation: this.generation, start: this.fed, count: ids.length, sample };
    this.fed += ids.length;
    return { row, ids };
  }
}
