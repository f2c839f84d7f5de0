import { ActivationFormat, type ModelInfo, type PipelineSpec } from '@pangalactic/contracts';
import {
  isComing,
  usedBytes,
  type ClusterNode,
  type ClusterState,
  type Deployment,
  type Milliseconds,
} from './cluster-state';
import type { EngineSpeed } from './cost-model';
import { avoidedPaths } from './fault-memory';
import { linksOf } from './measurements';
import { missingCopies } from './missing-copies';
import { planAround } from './plan-around';
import type { Candidate, PlannedPipeline } from './plan-pipeline';

export type Placement = { readonly pipeline: PipelineSpec } | { readonly reason: string };

/** Nodes that free the model's layers are worth so long a wait: they need not pack them again. */
export const UNLOAD_PATIENCE_MS = 1_000;

interface ModelCopies {
  readonly model: ModelInfo;
  readonly nodes: ClusterNode[];
}

/** What is different from how things are. */
export interface Assumptions {
  /** Id of a pipeline whose memory counts as free. */
  readonly memoryOf?: string | undefined;
  /** Id of a pipeline of which what it computes counts as nothing. */
  readonly workOf?: string | undefined;
  /** Speed of the nodes that nobody has measured; by default a typical one. */
  readonly unmeasured?: EngineSpeed | undefined;
}

/**
 * A pipeline for the deployment on the nodes that are free to take one. Only nodes with the very same weights can share
 * a pipeline; of several versions of a model, the one on most nodes is tried first.
 */
export function planDeployment(deployment: Deployment, state: ClusterState, assume: Assumptions = {}): Placement {
  const { modelId, stages, contextLength, maxSequences, pins } = deployment;
  const busy: string[] = [];
  const reasons: string[] = [];
  const versions = copiesByFingerprint(modelId, state);
  for (const { model, nodes } of versions) {
    const candidates: Candidate[] = [];
    for (const node of nodes) {
      const objection = objectionTo(node, state, assume.memoryOf);
      if (objection !== undefined) busy.push(`${node.id} ${objection}`);
      else candidates.push(candidateOf(node, model.fingerprint, state, assume));
    }
    // Whoever holds this model's layers already is worth the short wait.
    const returning = nodes.find(
      (node) => !node.drained && node.cached.has(model.fingerprint) && isFreeing(node, state.now),
    );
    if (returning) return { reason: busy.join('; ') };
    const options = { stages, contextLength, maxSequences, pins, linkBetween: linksOf(state.nodes) };
    const plan = planAround(model, candidates, options, avoidedPaths(state.faults, state.now));
    if ('reason' in plan) {
      const version = versions.length > 1 ? `version ${model.fingerprint.slice(0, 12)}: ` : '';
      reasons.push(version + plan.reason);
      continue;
    }
    const id = `${modelId}-${state.term}-${state.pipelinesPlanned + 1}`;
    const activationFormat = commonFormat(plan, state);
    return { pipeline: { id, modelId, fingerprint: model.fingerprint, ...plan, activationFormat } };
  }
  if (reasons.length === 0) reasons.push(`no connected node has ${modelId}`);
  return { reason: [...reasons, ...busy, ...missingCopies(modelId, state)].join('; ') };
}

/** The most precise of those that the nodes allow. Formats are numbered from precise to coarse. */
function commonFormat({ stages }: PlannedPipeline, state: ClusterState): ActivationFormat {
  const formats = stages.map(({ nodeId }) => state.nodes.get(nodeId)?.activationFormat);
  return Math.min(...formats.map((format) => format ?? ActivationFormat.ACTIVATION_FORMAT_F32));
}

function candidateOf(
  node: ClusterNode,
  fingerprint: string,
  state: ClusterState,
  { memoryOf, workOf = memoryOf, unmeasured }: Assumptions,
): Candidate {
  return {
    nodeId: node.id,
    address: node.address,
    memoryBytes: node.memoryBytes,
    usedBytes: usedBytes(state, node, memoryOf),
    speed: node.speeds.get(fingerprint) ?? unmeasured,
    otherStages: stagesOn(node, state, workOf === undefined ? [] : [workOf]),
    cached: node.cached.get(fingerprint),
  };
}

/** Why a node that is connected gets no stage, as what follows its name. */
export function objectionTo(node: ClusterNode, state: ClusterState, disregarding?: string): string | undefined {
  if (node.drained) return 'is drained';
  // What a node frees is unknown until it says that it is done, and one that died does not say so.
  const unloading = [...node.shards].find(([id, shard]) => shard.unloading && id !== disregarding);
  if (unloading) return `still unloads ${unloading[0]}`;
  // A heartbeat is overdue by half: the process may stand still.
  const silence = state.now - node.lastSeenAt;
  if (silence > state.heartbeatTimeoutMs / 2) return `has not been heard for ${(silence / 1000).toFixed(1)} s`;
  return undefined;
}

function isFreeing({ shards }: ClusterNode, now: Milliseconds): boolean {
  return [...shards.values()].some(({ unloading, changedAt }) => unloading && now - changedAt < UNLOAD_PATIENCE_MS);
}

/** Stages on the node of other pipelines that serve or are on their way to it. */
export function stagesOn(node: ClusterNode, state: ClusterState, besides: readonly string[]): number {
  const others = [...state.pipelines.values()].filter(
    (pipeline) => isComing(pipeline) && !besides.includes(pipeline.spec.id),
  );
  return others.filter(({ spec }) => spec.stages.some(({ nodeId }) => nodeId === node.id)).length;
}

function copiesByFingerprint(modelId: string, state: ClusterState): ModelCopies[] {
  const copies = new Map<string, ModelCopies>();
  for (const node of state.nodes.values()) {
    if (node.state !== 'CONNECTED') continue;
    const model = node.models.find(({ id }) => id === modelId);
    if (!model) continue;
    const same = copies.get(model.fingerprint);
    if (same) same.nodes.push(node);
    else copies.set(model.fingerprint, { model, nodes: [node] });
  }
  return [...copies.values()].sort(
    (a, b) => b.nodes.length - a.nodes.length || (a.model.fingerprint < b.model.fingerprint ? -1 : 1),
  );
}
