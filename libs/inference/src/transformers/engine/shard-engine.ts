import { PangalacticError, type Row, type SampledToken } from '@pangalactic/contracts';
import { describeModel, GgufFile, type ModelDescription, weightBytes } from '@pangalactic/models';
import { stageMemory } from '@pangalactic/scheduler';
import { Tensor } from '../onnxruntime';
import type { ShardSpec, SlotCommand, StepInput, StepOutput } from '../../inference-provider';
import { SlotTable } from '../../kv/slot-table';
import { splitRow } from '../../kv/split-row';
import { checkStepInput } from '../../kv/step-input';
import { SamplingBuffers } from '../../sampling/sampling-buffers';
import { SequenceSampler } from '../../sampling/sequence-sampler';
import { compileShard } from '../compiler/shard-compiler';
import { WeightCache } from '../compiler/weight-cache';
import { INPUT, OUTPUT } from '../compiler/graph-names';
import { EmbeddingTable } from './embedding-table';
import { type Device, type GraphSession, type NamedTensors, openGraphSession } from './graph-session';
import { GpuKvCache } from './gpu-kv-cache';
import { KvArena } from './kv-arena';
import { type KvCache, kvPositions } from './kv-cache';
import { laneTensors } from './lanes';
import { SoftmaxSession } from './softmax-session';

export interface EngineOptions {
  readonly device: Device;
  readonly threads: number;
  readonly cacheDir: string;
  /** Whether a run on the CPU writes the KV cache in place; false after a failed self-check. */
  readonly inPlace: boolean;
  /** See GpuCheck. */
  readonly maxRunTokens?: number | undefined;
  readonly profilePrefix?: string | undefined;
}

/** A layer range on onnxruntime: KV cache, session and, at the tail, the sampler. Not re-entrant: one call at a time. */
export class ShardEngine {
  private readonly slots: SlotTable;
  /** Of the sequence that holds a slot; at the tail only. */
  private readonly samplers = new Map<number, SequenceSampler>();
  private readonly samplingBuffers: SamplingBuffers;
  /** Of the last run, [rows that sample, vocab]; at the tail only. */
  private readonly logits: Float32Array;

  private constructor(
    private readonly spec: ShardSpec,
    private readonly maxRunTokens: number,
    private readonly model: ModelDescription,
    private readonly session: GraphSession,
    /** Keeps the weight files that the session has mapped. */
    private readonly weights: WeightCache,
    private readonly kv: KvCache,
    private readonly embedding: EmbeddingTable | undefined,
    /** At the tail only. */
    private readonly softmax: SoftmaxSession | undefined,
    /** Weights, KV cache and workspace, as the planner counts them. */
    readonly memoryBytes: number,
  ) {
    this.slots = new SlotTable({ slots: spec.maxSequences, contextLength: spec.contextLength });
    this.logits = new Float32Array(this.isTail ? spec.maxSequences * model.vocabSize : 0);
    this.samplingBuffers = new SamplingBuffers(this.isTail ? model.vocabSize : 0);
  }

  /**
   * @param signal gives up between two tensors, with its reason
   * @throws PangalacticError when the file cannot be served or is no longer the one that was planned
   */
  static async open(
    spec: ShardSpec,
    { device, threads, cacheDir, inPlace, maxRunTokens = Infinity, profilePrefix }: EngineOptions,
    onProgress: (fraction: number) => void,
    signal?: AbortSignal,
  ): Promise<ShardEngine> {
    const file = await GgufFile.open(spec.modelPath);
    const cache = new WeightCache(cacheDir);
    try {
      const { fingerprint, layers, maxSequences: slots } = spec;
      if ((await file.fingerprint()) !== fingerprint) {
        throw new PangalacticError('corrupt_model_file', `${spec.modelPath} changed since it was reported to the hub`);
      }
      const description = describeModel(file.header);
      const onGpu = device === 'gpu';
      const positions = kvPositions(device, spec.contextLength);
      const compiled = await compileShard({
        ...{ model: file, description, fingerprint, layers, positions },
        ...{ sentinel: inPlace && !onGpu, cache, onProgress, signal },
      });
      signal?.throwIfAborted();
      const { graph, weightFolder } = compiled;
      const session = await openGraphSession(graph, { device, threads, weightFolder, profilePrefix });
      const { kvHeads, headSize } = description;
      const shape = { slots, positions, kvHeads, headSize };
      const kv = onGpu ? await GpuKvCache.open(layers, shape) : new KvArena(layers, shape);
      const embedding = layers.from === 0 ? await EmbeddingTable.read(file) : undefined;
      const isTail = layers.to === description.layers;
      const softmax = isTail ? await SoftmaxSession.open(description.vocabSize, inPlace) : undefined;
      await cache.sweep();
      const sizes = { ...description, ...weightBytes(file.header, description) };
      const memoryBytes = stageMemory(sizes, layers, spec).total;
      return new ShardEngine(spec, maxRunTokens, description, session, cache, kv, embedding, softmax, memoryBytes);
    } catch (error) {
      cache.close();
      throw error;
    } finally {
      await file.close();
    }
  }

  async apply(command: SlotCommand): Promise<void> {
    switch (command.kind) {
      case 'start':
        this.slots.start(command);
        if (this.softmax) {
          const sampler = new SequenceSampler(command, this.samplingBuffers, this.softmax.softmax);
          this.samplers.set(command.slot, sampler);
        }
        return;
      case 'copy':
        this.slots.copy(command);
        await this.kv.copy(command.fromSlot, command.toSlot, command.count);
        return;
      case 'release':
        this.slots.release(command);
        this.samplers.delete(command.slot);
    }
  }

  async run(step: StepInput): Promise<StepOutput> {
    const started = performance.now();
    const values = await this.forward(step);
    const output = this.isTail ? { samples: await this.sample(step.rows, values) } : { hidden: values, samples: [] };
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

    const hidden = this.embedding ? this.embedding.lookUp(step.tokenIds!) : step.hidden!;
    if (tokens <= this.maxRunTokens || step.rows.length > 1) return this.runGraph(step.rows, hidden);
    const outputs: Float32Array[] = [];
    let from = 0;
    for (const row of splitRow(step.rows[0]!, this.maxRunTokens)) {
      const to = from + row.count * hiddenSize;
      outputs.push(await this.runGraph([row], hidden.subarray(from, to)));
      from = to;
    }
    return this.isTail ? outputs.at(-1)! : concat(outputs);
  }

  async close(): Promise<void> {
    await this.session.close();
    await this.kv.close();
    await this.softmax?.close();
    this.weights.close();
  }

  /**
   * @param hidden [tokens, hidden] float32
   * @returns see forward
   */
  private async runGraph(rows: readonly Row[], hidden: Float32Array): Promise<Float32Array> {
    const { hiddenSize, vocabSize } = this.model;
    const tokens = hidden.length / hiddenSize;
    const tensors: NamedTensors = { [INPUT.hidden]: new Tensor('float32', hidden, [tokens, hiddenSize]) };
    let output: Tensor;
    if (this.isTail) {
      const sampled = sampledTokens(rows);
      // The output head takes no empty batch: a step that samples nothing computes one row in vain.
      const logitTokens = BigInt64Array.from(sampled.length > 0 ? sampled : [0], BigInt);
      const shape = [logitTokens.length, vocabSize];
      tensors[INPUT.logitTokens] = new Tensor('int64', logitTokens, [logitTokens.length]);
      output = new Tensor('float32', this.logits.subarray(0, logitTokens.length * vocabSize), shape);
    } else {
      output = new Tensor('float32', new Float32Array(tokens * hiddenSize), [tokens, hiddenSize]);
    }
    const outputName = this.isTail ? OUTPUT.logits : OUTPUT.hidden;
    const validLength = (slot: number) => this.slots.length(slot);
    const results = await this.kv.step(rows, validLength, (lanes, kv) =>
      this.session.run(
        { ...kv.past, ...tensors, ...laneTensors(lanes, tokens) },
        { ...kv.present, [outputName]: output },
      ),
    );
    return results[outputName]!.data as Float32Array;
  }

  private get isTail(): boolean {
    return this.spec.layers.to === this.model.layers;
  }

  private async sample(rows: readonly Row[], logits: Float32Array): Promise<SampledToken[]> {
    const { vocabSize } = this.model;
    const samples: SampledToken[] = [];
    for (const { slot, generation } of rows.filter((row) => row.sample)) {
      const from = samples.length * vocabSize;
      const sampled = await this.samplers.get(slot)!.next(logits.subarray(from, from + vocabSize));
      samples.push({ slot, generation, ...sampled });
    }
    return samples;
  }
}

function concat(parts: readonly Float32Array[]): Float32Array {
  const whole = new Float32Array(parts.reduce((sum, { length }) => sum + length, 0));
  let end = 0;
  for (const part of parts) {
    whole.set(part, end);
    end += part.length;
  }
  return whole;
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
