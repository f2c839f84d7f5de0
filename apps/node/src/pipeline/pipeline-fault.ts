import { PangalacticError, type PipelineFault, toPangalacticError } from '@pangalactic/contracts';
import type { StageAssignment } from './stage-assignment';

/** A fault that another stage told us about, on its way through the pipeline. */
export class FaultReport extends Error {
  override readonly name = 'FaultReport';

  constructor(readonly fault: PipelineFault) {
    super(fault.reason);
  }
}

/** What a stage is blamed for whose process is gone without a word. */
export function connectionLost(cause?: unknown): PangalacticError {
  const detail = cause === undefined ? '' : `: ${toPangalacticError(cause).message}`;
  return new PangalacticError('service_unavailable', `the connection to it was lost${detail}`, { cause });
}

/** The stage that notices. */
export type PipelinePlace = Pick<StageAssignment, 'spec' | 'stage'>;

/** Blames a stage for whatever was thrown, unless it names another one itself. @param stage to blame, by default the one that notices */
export function faultOf(error: unknown, { spec, stage: ownStage }: PipelinePlace, stage = ownStage): PipelineFault {
  if (error instanceof FaultReport) return error.fault;
  const nodeIdOf = (index: number) => spec.stages[index]?.nodeId ?? '';
  return { stage, nodeId: nodeIdOf(stage), reason: toPangalacticError(error).message, noticedBy: nodeIdOf(ownStage) };
}

/** What callers of a broken pipeline get. */
export function brokenError(pipelineId: string, { stage, nodeId, reason }: PipelineFault): PangalacticError {
  return new PangalacticError('pipeline_broken', `pipeline ${pipelineId}: stage ${stage} (${nodeId}): ${reason}`);
}
