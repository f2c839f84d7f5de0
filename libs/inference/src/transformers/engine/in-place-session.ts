import { InferenceSession, type Tensor } from '../onnxruntime';
import { OUTPUT } from '../compiler/shard-graph';

export interface SessionOptions {
  readonly threads: number;
  /** Folder of the weight files that the graph names. */
  readonly weightFolder: string;
}

/**
 * How long an idle thread of the pool waits awake: long enough for the gaps between the operators of a run, too short to
 * take the core from another process. Measured in docs/benchmarks.md.
 */
const SPIN_MICROSECONDS = 20;

/** What onnxruntime-node 1.30.0 throws for the sentinel, after the graph has run. */
const SENTINEL_MESSAGE = 'Non tensor type is temporarily not supported.';

/**
 * Runs a graph whose outputs are all pre-allocated. onnxruntime-node copies every fetched output into a new array after
 * the run, also pre-allocated ones: with the KV cache among the outputs that costs more than the arithmetic. A graph
 * whose first output is no tensor (the sentinel) makes the binding throw before the first copy, when all outputs are
 * already in place.
 */
export class InPlaceSession {
  private constructor(
    private readonly session: InferenceSession,
    private readonly sentinel: boolean,
  ) {}

  static async open(graph: Uint8Array, { threads, weightFolder }: SessionOptions): Promise<InPlaceSession> {
    const session = await InferenceSession.create(graph, {
      executionProviders: ['cpu'],
      // The graph is written with fused operators: there is nothing left to optimise.
      graphOptimizationLevel: 'disabled',
      intraOpNumThreads: threads,
      interOpNumThreads: 1,
      enableCpuMemArena: false,
      logSeverityLevel: 4,
      extra: {
        session: {
          model_external_initializers_file_folder_path: weightFolder,
          intra_op: { allow_spinning: '1', spin_duration_us: String(SPIN_MICROSECONDS) },
        },
      },
    });
    return new InPlaceSession(session, session.outputNames[0] === OUTPUT.sentinel);
  }

  /** @param outputs a tensor of the exact shape for each of the graph's tensor outputs */
  async run(inputs: Record<string, Tensor>, outputs: Record<string, Tensor>): Promise<void> {
    if (!this.sentinel) {
      await this.session.run(inputs, outputs);
      return;
    }
    try {
      await this.session.run(inputs, { [OUTPUT.sentinel]: null, ...outputs });
    } catch (error) {
      if (error instanceof Error && error.message === SENTINEL_MESSAGE) return;
      throw error;
    }
    throw new Error('the sentinel output no longer stops onnxruntime-node from copying outputs');
  }

  async close(): Promise<void> {
    await this.session.release();
  }
}
