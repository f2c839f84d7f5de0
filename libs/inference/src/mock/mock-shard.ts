import { setTimeout as delay } from 'node:timers/promises';
import { PangalacticError, type Row, type SampledToken, toPangalacticError } from '@pangalactic/contracts';
import type { ModelDescription } from '@pangalactic/models';
import type { SequenceStart, Shard, ShardSpec, SlotCommand, StepInput, StepOutput } from '../inference-provider';
import { SlotTable } from '../kv/slot-table';
import { checkStepInput } from '../kv/step-input';
import { mix } from './mix';
import { fromHidden, MockLayers, toHidden } from './mock-layers';
import { mockLogprobs } from './mock-logprobs';

export interface MockOptions {
  /** Time that each layer of a step takes. */
  readonly layerDelayMs: number;
  /** Time that each layer takes to load. */
  readonly layerLoadMs?: number;
  /** Completion index at which every sequence ends with an end-of-generation token; never when undefined. */
  readonly endAtIndex?: number;
}

export class MockShard implements Shard {
  readonly memoryBytes: number;
  private readonly table: SlotTable;
  private readonly layers: MockLayers;
  private readonly sequences = new Map<number, SequenceStart>();
  private readonly isHead: boolean;
  private readonly isTail: boolean;
  private refusal: PangalacticError | undefined;
  /** Ends when the steps called so far have taken their time. */
  private idle: Promise<unknown> = Promise.resolve();

  constructor(
    private readonly spec: ShardSpec,
    private readonly model: ModelDescription,
    private readonly options: MockOptions,
  ) {
    this.table = new SlotTable({ slots: spec.maxSequences, contextLength: spec.contextLength });
    this.layers = new MockLayers(spec.layers, spec.maxSequences, spec.contextLength);
    this.memoryBytes = this.layers.bytes;
    this.isHead = spec.layers.from === 0;
    this.isTail = spec.layers.to === model.layers;
  }

  apply(command: SlotCommand): void {
    this.guarded(() => {
      if (command.kind === 'start') {
        this.table.start(command);
        this.sequences.set(command.slot, command);
      } else if (command.kind === 'copy') {
        this.table.copy(command);
        this.layers.copy(command.fromSlot, command.toSlot, command.count);
      } else {
        this.table.release(command);
        this.sequences.delete(command.slot);
      }
    });
  }

  async run(step: StepInput): Promise<StepOutput> {
    const start = performance.now();
    // Computed in the call itself, so that the order of the calls is the order of their effects.
    const output = this.guarded(() => this.compute(step));
    const delayMs = this.options.layerDelayMs * (this.spec.layers.to - this.spec.layers.from);
    const computeMs = performance.now() - start + delayMs;
    if (delayMs > 0) {
      this.idle = this.idle.then(() => delay(delayMs));
      await this.idle;
    }
    return { ...output, computeMs };
  }

  async unload(): Promise<void> {
    this.refusal ??= new PangalacticError('pipeline_broken', 'the shard was unloaded');
    await this.idle;
  }

  private compute(step: StepInput): Omit<StepOutput, 'computeMs'> {
    const { hiddenSize, vocabSize } = this.model;
    this.table.accept(step.rows);
    checkStepInput(step, { isHead: this.isHead, vocabSize, hiddenSize });
    const inputs = step.tokenIds ?? fromHidden(step.hidden ?? new Float32Array(), hiddenSize);
    const outputs = new Uint32Array(inputs.length);
    const samples: SampledToken[] = [];
    let offset = 0;
    for (const row of step.rows) {
      const values = this.layers.forward(row, inputs.subarray(offset, offset + row.count));
      outputs.set(values, offset);
      offset += row.count;
      if (this.isTail && row.sample) samples.push(this.sample(row, values.at(-1) ?? 0));
    }
    return this.isTail ? { samples } : { samples, hidden: toHidden(outputs, hiddenSize) };
  }

  private sample({ slot, generation, start, count }: Row, value: number): SampledToken {
    const sequence = this.sequences.get(slot);
    if (!sequence) throw new PangalacticError('internal_error', `slot ${slot} has no sequence to sample for`);
    const { promptIds, sampling, seed, choiceIndex } = sequence;
    const completionIndex = start + count - promptIds.length;
    const ends = this.model.endOfGenerationIds;
    if (completionIndex === this.options.endAtIndex && ends[0] !== undefined) return { slot, generation, id: ends[0] };
    const draw = sampling.temperature > 0 ? mix(mix(seed, choiceIndex), completionIndex) : 0;
    let id = mix(value, draw) % this.model.vocabSize;
    while (ends.includes(id)) id = (id + 1) % this.model.vocabSize;
    const { topLogprobs } = sampling;
    return topLogprobs === undefined
      ? { slot, generation, id }
      : { slot, generation, id, logprobs: mockLogprobs(id, topLogprobs, this.model.vocabSize) };
  }

  /** A refused command or step leaves the shard unusable. */
  private guarded<T>(action: () => T): T {
    if (this.refusal) throw this.refusal;
    try {
      return action();
    } catch (error) {
      this.refusal = toPangalacticError(error);
      throw error;
    }
  }
}
