import type { StepPhase } from '@pangalactic/inference';
import type { Metrics, NODE_METRICS } from '@pangalactic/observability';
import type { StepProfile } from '../pipeline/pipeline-profile';
import type { StageAssignment } from '../pipeline/stage-assignment';

const PHASES: readonly StepPhase[] = ['prefill', 'decode'];
const TIMES = ['computing', 'bubble'] as const;

export function stageLabels({ spec, stage }: StageAssignment) {
  return { model: spec.modelId, pipeline: spec.id, stage: String(stage) };
}

/** The series of one stage. They end with it: pipelines come and go, and a node would collect them for ever. */
export class StageMetrics {
  private ended = false;

  constructor(
    private readonly metrics: Metrics<typeof NODE_METRICS>,
    private readonly assignment: StageAssignment,
  ) {}

  step(phase: StepPhase, computeMs: number): void {
    if (!this.ended) this.metrics.steps.observe({ ...stageLabels(this.assignment), phase }, computeMs / 1_000);
  }

  /** Of a whole step, at the head. */
  profile({ computeMs, transferMs, availableMs }: StepProfile): void {
    if (this.ended) return;
    const labels = this.pipelineLabels();
    const computingMs = computeMs.reduce((total, ms) => total + ms, 0);
    // As many ways as stages: the one of the result counts.
    this.metrics.hopTransfer.observe(labels, transferMs / Math.max(1, computeMs.length) / 1_000);
    this.metrics.stageTime.inc({ ...labels, time: 'computing' }, computingMs / 1_000);
    this.metrics.stageTime.inc({ ...labels, time: 'bubble' }, Math.max(0, availableMs - computingMs) / 1_000);
  }

  end(): void {
    this.ended = true;
    const labels = this.pipelineLabels();
    for (const phase of PHASES) this.metrics.steps.remove({ ...stageLabels(this.assignment), phase });
    for (const time of TIMES) this.metrics.stageTime.remove({ ...labels, time });
    this.metrics.hopTransfer.remove(labels);
  }

  private pipelineLabels() {
    const { modelId: model, id: pipeline } = this.assignment.spec;
    return { model, pipeline };
  }
}
