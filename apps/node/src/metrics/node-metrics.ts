import { Injectable } from '@nestjs/common';
import { createMetrics, NODE_METRICS, readOnScrape } from '@pangalactic/observability';
import type { Pipeline } from '../pipeline/pipeline';
import { StageMetrics, stageLabels } from './stage-metrics';

type PipelineView = Pick<Pipeline, 'head' | 'slotsInUse' | 'status' | 'assignment' | 'link'>;

@Injectable()
export class NodeMetrics {
  private readonly metrics = createMetrics(NODE_METRICS);

  stage(assignment: Pipeline['assignment']): StageMetrics {
    return new StageMetrics(this.metrics, assignment);
  }

  /** The head gave a sequence its slot. */
  accepted(promptTokens: number, cachedTokens: number): void {
    this.metrics.promptTokens.inc(promptTokens);
    this.metrics.cachedPromptTokens.inc(cachedTokens);
  }

  generatedToken(): void {
    this.metrics.generatedTokens.inc();
  }

  hubConnected(connected: boolean): void {
    this.metrics.hubConnected.set(connected ? 1 : 0);
  }

  /** Gauges that are read when somebody scrapes. */
  observePipelines(pipelines: () => readonly PipelineView[]): void {
    const { metrics } = this;
    const total = (of: (pipeline: PipelineView) => number | undefined) =>
      pipelines().reduce((sum, pipeline) => sum + (of(pipeline) ?? 0), 0);
    readOnScrape(metrics.runningSequences, () => [[{}, total(({ head }) => head?.scheduler.runningSequences)]]);
    readOnScrape(metrics.waitingSequences, () => [[{}, total(({ head }) => head?.scheduler.waitingSequences)]]);
    readOnScrape(metrics.slotsInUse, () => [[{}, total(({ slotsInUse }) => slotsInUse)]]);

    const byStage = (value: (pipeline: PipelineView) => number | undefined) => () =>
      pipelines().flatMap((pipeline) => {
        const read = value(pipeline);
        return read === undefined ? [] : [[stageLabels(pipeline.assignment), read] as const];
      });
    readOnScrape(
      metrics.kvCacheUsage,
      byStage(({ slotsInUse, assignment }) => slotsInUse / assignment.spec.maxSequences),
    );
    readOnScrape(
      metrics.stageState,
      byStage(({ status }) => status.state),
    );
    readOnScrape(
      metrics.stageMemory,
      byStage(({ status }) => status.memoryBytes),
    );
    readOnScrape(
      metrics.linkRoundTrip,
      byStage(({ link }) => link?.times && link.times.roundTripMs / 1_000),
    );
    readOnScrape(
      metrics.linkBandwidth,
      byStage(({ link }) => link?.times?.bytesPerSecond),
    );
    readOnScrape(metrics.stageLayers, () =>
      pipelines().map(({ assignment }) => {
        const { from, to } = assignment.layers;
        return [{ ...stageLabels(assignment), layers: `[${from},${to})` }, to - from] as const;
      }),
    );
  }
}
