import { InferenceSession, type Tensor } from '../onnxruntime';
import { OUTPUT } from '../compiler/graph-names';

/**
 * How long an idle thread of the pool waits awake: long enough for the gaps between the operators of a run, too short to
 * take the core from another process. Measured in docs/benchmarks.md.
 */
const SPIN_MICROSECONDS = 20;

/** What a shard computes on: onnxruntime's CPU provider, or its WebGPU provider. */
export type Device = 'cpu' | 'gpu';

/**
 * The provider of all sessions on the GPU. Its default would round buffers up to sizes of its own, and take up to twice the
 * memory that a KV cache needs; the first session of a process decides.
 */
export const WEBGPU = { name: 'webgpu', storageBufferCacheMode: 'simple' } as const;

export interface SessionOptions {
  readonly device?: Device;
  readonly threads?: number;
  /** Folder of the weight files that the graph names. */
  readonly weightFolder?: string | undefined;
  /** Has the time of every operator written to a JSON file of this prefix when the session closes. */
  readonly profilePrefix?: string | undefined;
}

/** Tensors by the graph's names. */
export type NamedTensors = Record<string, Tensor>;

export interface GraphSession {
  /**
   * @param outputs a tensor of the exact shape for each of the graph's tensor outputs
   * @returns the outputs: these very tensors, or others where the session cannot write in place
   */
  run(inputs: NamedTensors, outputs: NamedTensors): Promise<NamedTensors>;
  close(): Promise<void>;
}

export type OpenGraphSession = (graph: Uint8Array, options: SessionOptions) => Promise<GraphSession>;

/** Opens a graph with the sentinel for running in place on the CPU, and one without it for running with copies. */
export const openGraphSession: OpenGraphSession = async (
  graph,
  { device = 'cpu', threads = 1, weightFolder, profilePrefix },
) => {
  const session = await InferenceSession.create(graph, {
    // What the GPU cannot do, the CPU does.
    executionProviders: device === 'gpu' ? [WEBGPU, 'cpu'] : ['cpu'],
    // The graph is written with fused operators: there is nothing left to optimise.
    graphOptimizationLevel: 'disabled',
    intraOpNumThreads: threads,
    interOpNumThreads: 1,
    enableCpuMemArena: false,
    logSeverityLevel: 4,
    ...(profilePrefix && { enableProfiling: true, profileFilePrefix: profilePrefix }),
    extra: {
      session: {
        ...(weightFolder && { model_external_initializers_file_folder_path: weightFolder }),
        intra_op: { allow_spinning: '1', spin_duration_us: String(SPIN_MICROSECONDS) },
      },
    },
  });
  if (device === 'gpu') return new GpuSession(session);
  return session.outputNames[0] === OUTPUT.sentinel ? new InPlaceSession(session) : new CopyingSession(session);
};

/** What onnxruntime-node 1.30.0 throws for the sentinel, after the graph has run. */
const SENTINEL_MESSAGE = 'Non tensor type is temporarily not supported.';

/**
 * Writes the outputs where the caller wants them. onnxruntime-node copies every fetched output into a new array after
 * the run, also pre-allocated ones: with the KV cache among the outputs that costs more than the arithmetic. A graph
 * whose first output is no tensor (the sentinel) makes the binding throw before the first copy, when all outputs are
 * already in place.
 */
class InPlaceSession implements GraphSession {
  constructor(private readonly session: InferenceSession) {}

  async run(inputs: NamedTensors, outputs: NamedTensors): Promise<NamedTensors> {
    try {
      await this.session.run(inputs, { [OUTPUT.sentinel]: null, ...outputs });
    } catch (error) {
      if (error instanceof Error && error.message === SENTINEL_MESSAGE) return outputs;
      throw error;
    }
    throw new Error('the sentinel output no longer stops onnxruntime-node from copying outputs');
  }

  close(): Promise<void> {
    return this.session.release();
  }
}

/** Counts on nothing but the outputs that the binding returns. */
class CopyingSession implements GraphSession {
  constructor(private readonly session: InferenceSession) {}

  async run(inputs: NamedTensors, outputs: NamedTensors): Promise<NamedTensors> {
    return this.session.run(inputs, Object.keys(outputs));
  }

  close(): Promise<void> {
    return this.session.release();
  }
}

/** Writes the outputs that lie on the GPU in place, and brings the others back from there. */
class GpuSession implements GraphSession {
  constructor(private readonly session: InferenceSession) {}

  async run(inputs: NamedTensors, outputs: NamedTensors): Promise<NamedTensors> {
    const fetches = Object.entries(outputs).map(([name, tensor]) => [name, tensor.location === 'cpu' ? null : tensor]);
    return this.session.run(inputs, Object.fromEntries(fetches) as Record<string, Tensor | null>);
  }

  close(): Promise<void> {
    return this.session.release();
  }
}
