import type { ModelView, PipelineView } from '@pangalactic/contracts';

/** A model as `--json` prints it: stable names in snake_case, sizes in bytes, layers as [from, to). */
export interface ModelReport {
  readonly model: string;
  readonly state: string;
  /** As `state`, of pipelines that are as they are wanted now. */
  readonly wanted_state: string;
  readonly progress: number;
  readonly eta_seconds: number | null;
  readonly waiting_for: string | null;
  readonly wanted_by: string | null;
  readonly context_length: number;
  readonly versions: readonly VersionReport[];
  readonly pipelines: readonly ModelPipelineReport[];
}

/** Nodes with the very same weights. */
export interface VersionReport {
  readonly fingerprint: string;
  readonly architecture: string;
  readonly layers: number;
  readonly context_length: number;
  readonly file_bytes: number;
  readonly nodes: readonly string[];
}

export interface ModelPipelineReport {
  readonly pipeline: string;
  readonly state: string;
  readonly reason: string | null;
  readonly context_length: number;
  readonly max_sequences: number;
  readonly running_sequences: number;
  readonly stages: readonly { readonly node: string; readonly layers: readonly [from: number, to: number] }[];
}

export function modelReport(model: ModelView): ModelReport {
  return {
    model: model.id,
    state: model.state,
    // Hubs of an earlier version do not tell.
    wanted_state: model.wantedState || model.state,
    progress: model.progress,
    eta_seconds: model.etaSeconds ?? null,
    waiting_for: model.waitingFor || null,
    wanted_by: model.origin || null,
    context_length: model.contextLength,
    versions: model.versions.map((version) => ({
      fingerprint: version.fingerprint,
      architecture: version.architecture,
      layers: version.layers,
      context_length: version.contextLength,
      file_bytes: version.fileBytes,
      nodes: version.nodeIds,
    })),
    pipelines: model.pipelines.flatMap(pipelineReport),
  };
}

function pipelineReport({ pipeline, state, reason, stageTimes }: PipelineView): ModelPipelineReport[] {
  if (!pipeline) return [];
  return [
    {
      pipeline: pipeline.id,
      state,
      reason: reason || null,
      context_length: pipeline.contextLength,
      max_sequences: pipeline.maxSequences,
      running_sequences: stageTimes[0]?.runningSequences ?? 0,
      stages: pipeline.stages.map(({ nodeId, layers }) => ({
        node: nodeId,
        layers: [layers?.from ?? 0, layers?.to ?? 0],
      })),
    },
  ];
}
