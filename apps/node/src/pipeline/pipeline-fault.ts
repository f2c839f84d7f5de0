import { PangalacticError, type PipelineFault, type PipelineSpec, toPangalacticError } from '@pangalactic/contracts';

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

/** Blames a stage for whatever was thrown, unless it names another one itself. */
export function faultOf(error: unknown, spec: PipelineSpec, stage: number): PipelineFault {
  if (error instanceof FaultReport) return error.fault;
  return { stage, nodeId: spec.stages[stage]?.nodeId ?? '', reason: toPangalacticError(error).message };
}

/** What callers of a broken pipeline get. */
export function brokenError(pipelineId: string, { stage, nodeId, reason }: PipelineFault): PangalacticError {
  return new PangalacticError('pipeline_broken', `pipeline ${pipelineId}: stage ${stage} (${nodeId}): ${reason}`);
}
