import type { LayerRange, ModelInfo } from '@pangalactic/contracts';
import { MEMORY_HEADROOM, stageMemory, type SequenceLimits, type StageMemory } from './memory-ledger';
import { planPipeline, SMALLEST_CONTEXT_LENGTH, type Candidate, type PlannedPipeline } from './plan-pipeline';

/** Nodes that are alike. */
export interface NodeKind {
  readonly count: number;
  readonly memoryBytes: number;
}

/** Exactly these, instead of what fits (decisions/006). */
export type WantedLimits = Partial<SequenceLimits>;

export interface PipelineSizing {
  /** All layers, the embedding and the output head, in the engine. */
  readonly weightBytes: number;
  /** K and V of one token in all layers. */
  readonly kvBytesPerToken: number;
  /** What pipelines may take of all nodes together. */
  readonly usableBytes: number;
  readonly plan?: SizedPipeline;
  /** Why there is no plan. */
  readonly shortage?: Shortage;
  /** For each kind of node, roomiest first. */
  readonly fewestNodes: readonly FewestNodes[];
}

export interface SizedPipeline extends SequenceLimits {
  readonly stages: readonly SizedStage[];
}

export interface SizedStage {
  readonly nodeId: string;
  readonly nodeBytes: number;
  readonly layers: LayerRange;
  readonly memory: StageMemory;
}

/** What a pipeline of nodes of one kind alone needs. */
export interface FewestNodes {
  readonly memoryBytes: number;
  /** undefined: not even one layer per node fits. */
  readonly nodes?: number;
  readonly limits?: SequenceLimits;
}

/** The first thing that does not fit, at the least limits that a pipeline may have. */
export interface Shortage {
  readonly part: 'weights' | 'kv' | 'workspace' | 'stage' | 'split';
  readonly limits: SequenceLimits;
  readonly neededBytes: number;
  /** Of all nodes together; for `stage` of the roomiest one. */
  readonly usableBytes: number;
  /** For `stage`: the one that fits on no node although it has a single layer. */
  readonly layers?: LayerRange;
}

/** How a model would be spread over such nodes if nothing else ran on them: what the hub would do, without a cluster. */
export function sizePipeline(model: ModelInfo, kinds: readonly NodeKind[], wanted: WantedLimits): PipelineSizing {
  const nodes = nodesOf(kinds);
  const usableBytes = nodes.reduce((sum, node) => sum + usable(node.memoryBytes), 0);
  const one = stageMemory(model, whole(model), { contextLength: 1, maxSequences: 1 });
  const plan = planFor(model, nodes, wanted);
  const sizes = [...new Set(kinds.map(({ memoryBytes }) => memoryBytes))].sort((a, b) => b - a);
  return {
    weightBytes: one.weights,
    kvBytesPerToken: one.kv,
    usableBytes,
    ...(plan ? { plan: sized(model, plan, nodes) } : { shortage: shortageOf(model, nodes, usableBytes, wanted) }),
    fewestNodes: sizes.map((memoryBytes) => fewestNodes(model, memoryBytes, wanted)),
  };
}

function fewestNodes(model: ModelInfo, memoryBytes: number, wanted: WantedLimits): FewestNodes {
  const plan = planFor(model, nodesOf([{ count: model.layers, memoryBytes }]), wanted);
  if (!plan) return { memoryBytes };
  const { stages, contextLength, maxSequences } = plan;
  return { memoryBytes, nodes: stages.length, limits: { contextLength, maxSequences } };
}

function shortageOf(
  model: ModelInfo,
  nodes: readonly Candidate[],
  usableBytes: number,
  { contextLength, maxSequences }: WantedLimits,
): Shortage {
  const limits = {
    contextLength: contextLength ?? Math.min(SMALLEST_CONTEXT_LENGTH, model.contextLength),
    maxSequences: maxSequences ?? 1,
  };
  const roomiest = Math.max(...nodes.map(({ memoryBytes }) => usable(memoryBytes)));
  const largest = largestSingleLayer(model, limits);
  if (nodes.length > 1 && largest.bytes > roomiest) {
    return { part: 'stage', limits, neededBytes: largest.bytes, usableBytes: roomiest, layers: largest.layers };
  }
  const { weights, kv, total } = stageMemory(model, whole(model), limits);
  const [part, neededBytes] = (
    [
      ['weights', weights],
      ['kv', weights + kv],
      ['workspace', total],
    ] as const
  ).find(([, bytes]) => bytes > usableBytes) ?? ['split', total];
  return { part, limits, neededBytes, usableBytes };
}

/** The smallest stages there can be have one layer each; the first and the last also have a table. */
function largestSingleLayer(model: ModelInfo, limits: SequenceLimits): { layers: LayerRange; bytes: number } {
  return Array.from({ length: model.layers }, (_, from) => ({ from, to: from + 1 }))
    .map((layers) => ({ layers, bytes: stageMemory(model, layers, limits).total }))
    .reduce((largest, stage) => (stage.bytes > largest.bytes ? stage : largest));
}

function planFor(model: ModelInfo, nodes: readonly Candidate[], wanted: WantedLimits): PlannedPipeline | undefined {
  const plan = planPipeline(model, nodes, { stages: 0, ...wanted });
  return 'stages' in plan ? plan : undefined;
}

function sized(model: ModelInfo, plan: PlannedPipeline, nodes: readonly Candidate[]): SizedPipeline {
  const memoryOf = new Map(nodes.map(({ nodeId, memoryBytes }) => [nodeId, memoryBytes]));
  const stages = plan.stages.map(({ nodeId, layers }) => ({
    nodeId,
    nodeBytes: memoryOf.get(nodeId)!,
    layers: layers!,
    memory: stageMemory(model, layers!, plan),
  }));
  return { contextLength: plan.contextLength, maxSequences: plan.maxSequences, stages };
}

function nodesOf(kinds: readonly NodeKind[]): Candidate[] {
  return kinds
    .flatMap(({ count, memoryBytes }) => Array.from({ length: count }, () => memoryBytes))
    .map((memoryBytes, index) => ({ nodeId: `node-${index + 1}`, address: '', memoryBytes, usedBytes: 0 }));
}

function usable(memoryBytes: number): number {
  return Math.floor(memoryBytes * MEMORY_HEADROOM);
}

function whole({ layers }: ModelInfo): LayerRange {
  return { from: 0, to: layers };
}
