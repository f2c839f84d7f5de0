import { PangalacticError, type Row, type SampledToken } from '@pangalactic/contracts';
import { describeModel, GgufFile, type ModelDescription } from '@pangalactic/models';
import { Tensor } from '../onnxruntime';
import type { ShardSpec, SlotCommand, StepInput, StepOutput } from '../../inference-provider';
import { SlotTable } from '../../kv/slot-table';
import { checkStepInput } from '../../kv/step-input';
import { SamplingBuffers } from '../../sampling/sampling-buffers';
import { SequenceSampler } from '../../sampling/sequence-sampler';
import { compileShard } from '../compiler/shard-compiler';
import { INPUT, kvNames, OUTPUT } from '../compiler/shard-graph';
import { EmbeddingTable } from './embedding-table';
import { InPlaceSession } from './in-place-session';
import { KvArena } from './kv-arena';
import { layLanes } from './lanes';

export interface EngineOptions {
  readonly threads: number;
  readonly cacheDir: string;
  /** See InPlaceSession; false after a failed self-check. */
  readonly sentinel: boolean;
}

/** A layer range on onnxruntime: KV arena, session and, at the tail, the sampler. Not re-entrant: one call at a time. */
export class ShardEngine {
  private readonly slots: SlotTable;
  /** Of the sequence that holds a slot; at the tail only. */
  private readonly samplers = new Map<number, SequenceSampler>();
  private readonly samplingBuffers: SamplingBuffers;
  /** Logits of the last run by number of rows, [rows, vocab] float32. */
  private readonly logits = new Map<number, Tensor>();

  private constructor(
    private readonly spec: ShardSpec,
    private readonly model: ModelDescription,
    private readonly session: InPlaceSession,
    private readonly arena: KvArena,
    private readonly embedding: EmbeddingTable | undefined,
    private readonly weightBytes: number,
  ) {
    this.slots = new SlotTable({ slots: spec.maxSequences, contextLength: spec.contextLength });
    this.samplingBuffers = new SamplingBuffers(this.isTail ? model.vocabSize : 0);
  }

  /**
   * @param signal gives up between two tensors, with its reason
   * @throws PangalacticError when the file cannot be served or is no longer the one that was planned
   */
  static async open(
    spec: ShardSpec,
    { threads, cacheDir, sentinel }: EngineOptions,
    onProgress: (fraction: number) => void,
    signal?: AbortSignal,
  ): Promise<ShardEngine> {
    const file = await GgufFile.open(spec.modelPath);
    try {
      const { fingerprint, layers } = spec;
      if ((await file.fingerprint()) !== fingerprint) {
        throw new PangalacticError('corrupt_model_file', `${spec.modelPath} changed since it was reported to the hub`);
      }
      const description = describeModel(file.header);
      const compiled = await compileShard({
        ...{ model: file, description, fingerprint, layers, positions: spec.contextLength },
        ...{ sentinel, cacheDir, onProgress, signal },
      });
      signal?.throwIfAborted();
      const session = await InPlaceSession.open(compiled.graph, { threads, weightFolder: compiled.weightFolder });
      const { kvHeads, headSize } = description;
      const arena = new KvArena(layers, {
        ...{ slots: spec.maxSequences, positions: spec.contextLength, kvHeads, headSize },
      });
      const embedding = layers.from === 0 ? await EmbeddingTable.read(file) : undefined;
      return new ShardEngine(spec, description, session, arena, embedding, compiled.weightBytes);
    } finally {
      await file.close();
    }
  }

  get memoryBytes(): number {
    return this.weightBytes + (this.embedding?.bytes ?? 0) + this.arena.bytes;
  }

  apply(command: SlotCommand): void {
    switch (command.kind) {
      case 'start':
        this.slots.start(command);
        if (this.isTail) this.samplers.set(command.slot, new SequenceSampler(command, this.samplingBuffers));
        return;
      case 'copy':
        this.slots.copy(command);
        this.arena.copy(command.fromSlot, command.toSlot, command.count);
        return;
      case 'release':
        this.slots.release(command);
        this.samplers.delete(command.slot);
    }
  }

  async run(step: StepInput): Promise<StepOutput> {
    const started = performance.now();
    const values = await this.forward(step);
    const output = this.isTail ? { samples: this.sample(step.rows, values) } : { hidden: values, samples: [] };
    return { ...output, computeMs: performance.now() - started };
  }

  /**
   * Feeds a step without sampling.
   * @returns [tokens, hidden] float32, or at the tail [rows that sample, vocab] logits, valid until the next call
   */
  async forward(step: StepInput): Promise<Float32Array> {
    const { hiddenSize, vocabSize } = this.model;
    const tokens = checkStepInput(step, { isHead: this.embedding !== undefined, vocabSize, hiddenSize });
    this.slots.accept(step.rows);

    const lanes = layLanes(step.rows, (slot) => this.slots.length(slot));
    const hidden = this.embedding ? this.embedding.lookUp(step.tokenIds!) : step.hidden!;
    const kv = this.arena.feeds(lanes.firstSlot, lanes.lanes);
    const feeds: Record<string, Tensor> = {
      ...kv,
      [INPUT.hidden]: new Tensor('float32', hidden, [tokens, hiddenSize]),
      [INPUT.laneTokens]: new Tensor('int64', lanes.laneTokens, [lanes.lanes, lanes.tokensPerLane]),
      [INPUT.tokenLanes]: new Tensor('int64', lanes.tokenLanes, [tokens]),
      [INPUT.lastPositions]: new Tensor('int32', lanes.lastPositions, [lanes.lanes]),
      [INPUT.longest]: new Tensor('int32', Int32Array.of(lanes.longest), [1]),
    };
    let output: Tensor;
    if (this.isTail) {
      const sampled = sampledTokens(step.rows);
      // The output head takes no empty batch: a step that samples nothing computes one row in vain.
      const logitTokens = BigInt64Array.from(sampled.length > 0 ? sampled : [0], BigInt);
      feeds[INPUT.logitTokens] = new Tensor('int64', logitTokens, [logitTokens.length]);
      output = this.logitsTensor(logitTokens.length);
    } else {
      output = new Tensor('float32', new Float32Array(tokens * hiddenSize), [tokens, hiddenSize]);
    }
    const restore = this.arena.saveFirstPosition(lanes.overwritten);
    await this.session.run(feeds, { ...this.presentOf(kv), [this.isTail ? OUTPUT.logits : OUTPUT.hidden]: output });
    restore();
    return output.data as Float32Array;
  }

  async close(): Promise<void> {
    await this.session.close();
  }

  private get isTail(): boolean {
    return this.spec.layers.to === this.model.layers;
  }

  /** The same tensors under the names of the graph's outputs: the engine writes where it reads. */
  private presentOf(past: Record<string, Tensor>): Record<string, Tensor> {
    const present: Record<string, Tensor> = {};
    for (let layer = this.spec.layers.from; layer < this.spec.layers.to; layer++) {
      const { pastKey, pastValue, presentKey, presentValue } = kvNames(layer);
      present[presentKey] = past[pastKey]!;
      present[presentValue] = past[pastValue]!;
    }
    return present;
  }

  private logitsTensor(rows: number): Tensor {
    const { vocabSize } = this.model;
    let tensor = this.logits.get(rows);
    if (!tensor) {
      tensor = new Tensor('float32', new Float32Array(rows * vocabSize), [rows, vocabSize]);
      this.logits.set(rows, tensor);
    }
    return tensor;
  }

  private sample(rows: readonly Row[], logits: Float32Array): SampledToken[] {
    const { vocabSize } = this.model;
    return rows
      .filter((row) => row.sample)
      .map(({ slot, generation }, index) => ({
        slot,
        generation,
        ...this.samplers.get(slot)!.next(logits.subarray(index * vocabSize, (index + 1) * vocabSize)),
      }));
  }
}

/** Index in the step of the last token of each row that samples. */
function sampledTokens(rows: readonly Row[]): number[] {
  const tokens: number[] = [];
  let end = 0;
  for (const { count, sample } of rows) {
    end += count;
    if (sample) tokens.push(end - 1);
  }
  return tokens;
}
