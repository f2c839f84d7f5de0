import type { LayerRange, Row, SampledToken, Sampling } from '@pangalactic/contracts';

/** Which part of which file a node serves, and how much KV it reserves for it. */
export interface ShardSpec {
  readonly modelPath: string;
  /** Of the file, as in ModelInfo: names the compiled weights in the cache. */
  readonly fingerprint: string;
  readonly layers: LayerRange;
  /** Tokens a sequence may hold. */
  readonly contextLength: number;
  /** KV slots. */
  readonly maxSequences: number;
}

/** Everything a stage may need to know of a sequence; the tail samples from it. */
export interface SequenceStart {
  readonly slot: number;
  readonly generation: number;
  readonly sampling: Sampling;
  readonly seed: number;
  readonly choiceIndex: number;
  readonly promptIds: readonly number[];
  readonly emittedIds: readonly number[];
}

export type SlotCommand =
  | ({ readonly kind: 'start' } & SequenceStart)
  | { readonly kind: 'copy'; readonly fromSlot: number; readonly toSlot: number; readonly count: number }
  | { readonly kind: 'release'; readonly slot: number; readonly generation: number };

export interface StepInput {
  readonly rows: readonly Row[];
  /** The head's input: the token ids of all rows, in row order. */
  readonly tokenIds?: Uint32Array;
  /** Every other stage's input: [tokens, hidden_size] float32. The callee takes ownership of the buffer. */
  readonly hidden?: Float32Array;
}

export interface StepOutput {
  /** [tokens, hidden_size] float32 for the next stage; absent at the tail. */
  readonly hidden?: Float32Array;
  /** One entry per row with `sample`; empty before the tail. */
  readonly samples: readonly SampledToken[];
  /** Time spent computing, without queueing, on a monotonic clock. */
  readonly computeMs: number;
}

/**
 * A loaded layer range with its own KV. Commands and steps take effect strictly in the order of the calls, so callers
 * need not await one before the next. A rejected step (`kv_gap`, `invalid_frame`, `internal_error`) leaves the shard
 * unusable: the pipeline is broken and the shard must be unloaded.
 */
export interface Shard {
  /** Weights, KV arena and workspace. */
  readonly memoryBytes: number;
  apply(command: SlotCommand): void;
  run(step: StepInput): Promise<StepOutput>;
  /** Waits for the step that is running, then frees everything. Later calls are refused. */
  unload(): Promise<void>;
}

export interface InferenceProvider {
  readonly backend: 'transformers' | 'mock';
  /**
   * Compiles (or finds in the cache) and opens a layer range.
   * @param onProgress fraction done, 0 to 1
   * @param signal gives the load up: it rejects with the signal's reason once it holds no memory any more
   * @throws PangalacticError `corrupt_model_file`, `unsupported_architecture`, `unsupported_tensor_type`
   */
  load(spec: ShardSpec, onProgress: (fraction: number) => void, signal?: AbortSignal): Promise<Shard>;
  close(): Promise<void>;
}

export const INFERENCE_PROVIDER = Symbol('INFERENCE_PROVIDER');
