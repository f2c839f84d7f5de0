import type { Row } from '@pangalactic/contracts';
import type { SequenceStart } from '../inference-provider';
import type { SequenceId, SequenceRequest } from './batch-scheduler.types';
import { promptChunks } from './prompt-chunks';

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

/**
 * A sequence in a slot. It feeds the prompt, then the emitted tokens, in chunks that need not wait for each other; then
 * one sampled token at a time. The token sampled last is never in the KV: the valid length is the number of tokens fed.
 */
export class Sequence {
  parked = false;
  /** Orders decode turns: whoever waits longest goes first. */
  readySince = 0;
  /** Completion tokens so far, emitted ones included. */
  completionTokens: number;

  private readonly replay: Uint32Array;
  private readonly chunks: number[];
  private fed = 0;
  private sampled: number | undefined;

  constructor(
    readonly id: SequenceId,
    readonly slot: number,
    readonly generation: number,
    private readonly request: SequenceRequest,
    readonly limit: number,
  ) {
    this.completionTokens = request.emittedIds.length;
    this.replay = Uint32Array.from([...request.promptIds, ...request.emittedIds]);
    this.chunks = [...promptChunks(request.promptIds.length), ...promptChunks(request.emittedIds.length)];
  }

  get start(): SequenceStart {
    const { promptIds, emittedIds, sampling, seed, choiceIndex } = this.request;
    return { slot: this.slot, generation: this.generation, sampling, seed, choiceIndex, promptIds, emittedIds };
  }

  get isPrefilling(): boolean {
    return this.chunks.length > 0;
  }

  /** A sampled token waits to be fed; false while a step that samples is in flight. */
  get isReadyToDecode(): boolean {
    return this.sampled !== undefined;
  }

  feedChunk(): Feed {
    const count = this.chunks.shift() ?? 0;
    return this.feed(this.replay.slice(this.fed, this.fed + count), this.chunks.length === 0);
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
    this.readySince = readySince;
    this.completionTokens += 1;
  }

  private feed(ids: Uint32Array, sample: boolean): Feed {
    const row = { slot: this.slot, generation: this.generation, start: this.fed, count: ids.length, sample };
    this.fed += ids.length;
    return { row, ids };
  }
}
