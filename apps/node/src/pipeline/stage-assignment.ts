import { type PipelineSpec, PangalacticError, type StageSpec } from '@pangalactic/contracts';
import { type ActivationCodec, activationCodec } from '@pangalactic/transport';

/** The part of a pipeline that one node is asked to serve. */
export interface StageAssignment {
  readonly spec: PipelineSpec;
  readonly stage: number;
  readonly isHead: boolean;
  readonly isTail: boolean;
  readonly layers: { readonly from: number; readonly to: number };
  /** Of every hop. */
  readonly activations: ActivationCodec;
}

/**
 * Checks what a load command says before anything is built on it.
 * @throws PangalacticError `invalid_request`
 */
export function stageAssignment(spec: PipelineSpec | undefined, stage: number, nodeId: string): StageAssignment {
  if (!spec?.id) throw invalid('a load command without a pipeline');
  const own = spec.stages[stage];
  if (!own) throw invalid(`pipeline ${spec.id} has no stage ${stage}: allowed are 0 to ${spec.stages.length - 1}`);
  if (own.nodeId !== nodeId)
    throw invalid(`stage ${stage} of pipeline ${spec.id} belongs to ${own.nodeId}, not ${nodeId}`);
  if (spec.contextLength < 1 || spec.maxSequences < 1) {
    throw invalid(`pipeline ${spec.id} holds ${spec.maxSequences} sequences of ${spec.contextLength} tokens`);
  }
  spec.stages.reduce((from, next, index) => follow(spec, index, from, next), 0);
  const layers = own.layers ?? { from: 0, to: 0 };
  const activations = activationCodec(spec.activationFormat);
  return { spec, stage, isHead: stage === 0, isTail: stage === spec.stages.length - 1, layers, activations };
}

/** Stages are contiguous: each begins at the layer where the one before ends. */
function follow({ id }: PipelineSpec, index: number, from: number, { layers }: StageSpec): number {
  if (!layers || layers.from !== from || layers.to <= from) {
    throw invalid(
      `stage ${index} of pipeline ${id} has layers ${layers?.from} to ${layers?.to}, expected from ${from}`,
    );
  }
  return layers.to;
}

function invalid(message: string): PangalacticError {
  return new PangalacticError('invalid_request', message);
}
