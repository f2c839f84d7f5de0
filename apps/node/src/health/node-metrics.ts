import { Injectable } from '@nestjs/common';
import type { StepPhase } from '@pangalactic/inference';
import { Counter, Gauge, Histogram } from 'prom-client';
import type { Pipeline } from '../pipeline/pipeline';
import type { StepProfile } from '../pipeline/pipeline-profile';

const STEP_BUCKETS_SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

const HOP_BUCKETS_SECONDS = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1];

type PipelineView = Pick<Pipeline, 'id' | 'head' | 'slotsInUse' | 'status' | 'assignment'>;

@Injectable()
export class NodeMetrics {
  private readonly steps = new Histogram({
    name: 'pangalactic_node_step_duration_seconds',
    help: 'Compute time of a step on this stage, without queueing.',
    labelNames: ['phase'],
    buckets: STEP_BUCKETS_SECONDS,
  });
  private readonly promptTokens = new Counter({
    name: 'pangalactic_node_prompt_tokens_total',
    help: 'Prompt tokens of the sequences that this head accepted.',
  });
  private readonly cachedPromptTokens = new Counter({
    name: 'pangalactic_node_cached_prompt_tokens_total',
    help: 'Prompt tokens of those that were in the KV already and not computed.',
  });
  private readonly generatedTokens = new Counter({
    name: 'pangalactic_node_generated_tokens_total',
    help: 'Completion tokens that this head sent.',
  });

  private readonly hopTransfer = new Histogram({
    name: 'pangalactic_node_hop_transfer_seconds',
    help: 'Time per hop of a step, neither computing nor waiting to compute; at the head.',
    buckets: HOP_BUCKETS_SECONDS,
  });
  private readonly stageSeconds = new Counter({
    name: 'pangalactic_node_pipeline_stage_seconds_total',
    help: 'Time of all stages while steps were in flight; at the head. The bubble share is bubble / (computing + bubble).',
    labelNames: ['state'],
  });

  step(phase: StepPhase, computeMs: number): void {
    this.steps.observe({ phase }, computeMs / 1_000);
  }

  profile({ computeMs, transferMs, availableMs }: StepProfile): void {
    const computingMs = sum(computeMs, (ms) => ms);
    // As many ways as stages: the one of the result counts.
    this.hopTransfer.observe(transferMs / Math.max(1, computeMs.length) / 1_000);
    this.stageSeconds.inc({ state: 'computing' }, computingMs / 1_000);
    this.stageSeconds.inc({ state: 'bubble' }, Math.max(0, availableMs - computingMs) / 1_000);
  }

  prompt(tokens: number): void {
    this.promptTokens.inc(tokens);
  }

  cachedPrompt(tokens: number): void {
    this.cachedPromptTokens.inc(tokens);
  }

  generatedToken(): void {
    this.generatedTokens.inc();
  }

  /** Gauges that are read when somebody scrapes. */
  observePipelines(pipelines: () => readonly PipelineView[]): void {
    gauge('pangalactic_node_sequences_running', 'Sequences that hold a slot, at the head.', () =>
      sum(pipelines(), ({ head }) => head?.scheduler.runningSequences ?? 0),
    );
    gauge('pangalactic_node_sequences_waiting', 'Sequences that wait for a slot, at the head.', () =>
      sum(pipelines(), ({ head }) => head?.scheduler.waitingSequences ?? 0),
    );
    gauge('pangalactic_node_slots_in_use', 'KV slots that a sequence holds, on this stage.', () =>
      sum(pipelines(), ({ slotsInUse }) => slotsInUse),
    );
    const stageState = new Gauge({
      name: 'pangalactic_node_stage_state',
      help: 'State of each stage held: 1 loading, 2 ready, 3 broken.',
      labelNames: ['pipeline', 'stage'],
      collect: () => {
        stageState.reset();
        for (const { id, assignment, status } of pipelines()) {
          stageState.set({ pipeline: id, stage: assignment.stage }, status.state);
        }
      },
    });
  }
}

function gauge(name: string, help: string, read: () => number): void {
  const metric: Gauge = new Gauge({ name, help, collect: () => metric.set(read()) });
}

function sum<T>(values: readonly T[], of: (value: T) => number): number {
  return values.reduce((total, value) => total + of(value), 0);
}
