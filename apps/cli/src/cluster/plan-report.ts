import type { AvoidedPath, ExplainedStage, ExplainPlanResponse, PlanExplanation } from '@pangalactic/contracts';
import { formatBytes, table } from './cluster-tables';

/** What `cluster plan --json` prints: stable names in snake_case, sizes in bytes, layers as [from, to). */
export function planReport({ plans }: ExplainPlanResponse): readonly object[] {
  return plans.map((plan) => ({
    model: plan.modelId,
    replica: plan.replica,
    replicas: plan.replicas,
    pinned: plan.pinned,
    pipeline: plan.pipelineId || null,
    reason: plan.reason || null,
    context_length: plan.contextLength,
    max_sequences: plan.maxSequences,
    tokens_per_second: plan.tokensPerSecond,
    busy_tokens_per_second: plan.busyTokensPerSecond,
    prompt_tokens_per_second: plan.promptTokensPerSecond,
    bottleneck: plan.stages[plan.bottleneck]?.nodeId ?? null,
    stages: plan.stages.map((stage) => ({
      node: stage.nodeId,
      layers: [stage.layers?.from ?? 0, stage.layers?.to ?? 0],
      memory_bytes: stage.memoryBytes,
      weight_bytes: stage.weightBytes,
      kv_bytes: stage.kvBytes,
      workspace_bytes: stage.workspaceBytes,
      other_bytes: stage.otherBytes,
      compute_ms: stage.computeMs,
      hop_ms: stage.hopMs,
      measured: stage.measured,
    })),
    left_out: plan.leftOut.map(({ nodeId, reason }) => ({ node: nodeId, reason })),
    avoided: plan.avoided.map(({ nodeIds, reason, avoidedForMs }) => ({
      nodes: nodeIds,
      reason,
      avoided_for_ms: avoidedForMs,
    })),
    warnings: plan.warnings,
  }));
}

/** @param explain also the memory ledger, the times of each stage and the nodes left out */
export function planText({ plans }: ExplainPlanResponse, explain: boolean): string {
  return plans.map((plan) => planLines(plan, explain).join('\n')).join('\n\n') || 'no model is deployed';
}

function planLines(plan: PlanExplanation, explain: boolean): string[] {
  const pipeline = plan.pipelineId ? `pipeline ${plan.pipelineId}` : 'planned, not created yet';
  const name = plan.replicas > 1 ? `${plan.modelId} (replica ${plan.replica} of ${plan.replicas})` : plan.modelId;
  const leftOut = explain ? plan.leftOut.map(({ nodeId, reason }) => `left out: ${nodeId}: ${reason}`) : [];
  if (explain) leftOut.push(...plan.avoided.map(avoidedText));
  if (plan.stages.length === 0) return [`${name}: no plan: ${plan.reason}`, ...leftOut];
  const slowest = plan.stages[plan.bottleneck];
  const stages = plan.stages.map((stage) => `${stage.nodeId} ${rangeOf(stage)}`).join(' -> ');
  return [
    `${name}: ${pipeline}: ${stages}${plan.pinned ? ' (pinned)' : ''}; ${plan.maxSequences} sequences of ${plan.contextLength} tokens`,
    `predicted: ${plan.tokensPerSecond.toFixed(1)} tokens/s of one sequence, ` +
      `${plan.busyTokensPerSecond.toFixed(1)} of many, ` +
      `${plan.promptTokensPerSecond.toFixed(0)} of a prompt; bottleneck: ${slowest?.nodeId}`,
    ...(explain ? [ledger(plan)] : []),
    ...leftOut,
    ...plan.warnings.map((warning) => `warning: ${warning}`),
  ];
}

function avoidedText({ nodeIds, reason, avoidedForMs }: AvoidedPath): string {
  return `avoided for ${Math.ceil(avoidedForMs / 1000)} s: ${nodeIds.join(' - ')}: ${reason}`;
}

function ledger({ stages }: PlanExplanation): string {
  const head = ['node', 'layers', 'weights', 'KV', 'workspace', 'others', 'of memory', 'compute', 'hop', 'speed'];
  const rows = stages.map((stage) => [
    stage.nodeId,
    rangeOf(stage),
    ...[stage.weightBytes, stage.kvBytes, stage.workspaceBytes, stage.otherBytes, stage.memoryBytes].map(formatBytes),
    `${stage.computeMs.toFixed(2)} ms`,
    `${stage.hopMs.toFixed(2)} ms`,
    stage.measured ? 'measured' : 'assumed',
  ]);
  return table(head, rows, '');
}

function rangeOf({ layers }: ExplainedStage): string {
  return `[${layers?.from ?? 0}, ${layers?.to ?? 0})`;
}
