import type { ModelInfo, PipelineSpec } from '@pangalactic/contracts';
import type { Decision } from './cluster-event';
import type { ClusterNode, ClusterState, Deployment, Milliseconds, Pipeline } from './cluster-state';
import { loadMsPerToken, predict, type EngineSpeed } from './cost-model';
import { avoidedPaths, usedSuspects } from './fault-memory';
import { linksOf } from './measurements';
import { pipelinesByModel } from './model-state';
import { machineSpeed } from './place-stages';
import { planDeployment, stagesOn } from './plan-deployment';

/** A healthy pipeline moves for nothing less than this much of its speed, the load counted. */
const WORTHWHILE_GAIN = 1.3;
/** And only if that was to be had for so long without a break. */
export const LASTING_MS = 180_000;
/** One pipeline of the cluster in so long. */
export const MOVE_EVERY_MS = 600_000;
const ASSESS_EVERY_MS = 15_000;
/** What nobody has measured is worth a try as if it were so much faster than the fastest. */
const OPTIMISM = 2;
/** A successor that is measured stays for this much at least: less is noise. */
const CONFIRMED_GAIN = 1.1;
/** A successor says this soon after it is READY how fast its stages are. */
const MEASURED_WITHIN_MS = 60_000;

/** Looks from time to time which pipelines could be much faster. */
export function assess(state: ClusterState): ClusterState {
  const { now, rebalancing } = state;
  if (now - rebalancing.assessedAt < ASSESS_EVERY_MS) return state;
  const pipelines = isQuiet(state) ? [...state.pipelines.values()] : [];
  const faster = pipelines.filter((pipeline) => fasterSuccessor(pipeline, state) !== undefined);
  const fasterSince = new Map(faster.map(({ spec: { id } }) => [id, rebalancing.fasterSince.get(id) ?? now] as const));
  return { ...state, rebalancing: { ...rebalancing, assessedAt: now, fasterSince } };
}

/**
 * A healthy pipeline gets a successor that is predicted to be much faster, make before break. One that leads to an
 * unmeasured node is a try: see `isSlowerThanHoped`.
 */
export function rebalance(state: ClusterState, now: Milliseconds): Decision[] {
  const { movedAt, fasterSince } = state.rebalancing;
  if (now - movedAt < MOVE_EVERY_MS || fasterSince.size === 0 || !isQuiet(state)) return [];
  for (const [pipelineId, since] of fasterSince) {
    const pipeline = now - since >= LASTING_MS ? state.pipelines.get(pipelineId) : undefined;
    const successor = pipeline && fasterSuccessor(pipeline, state);
    if (successor) return [{ kind: 'create', at: now, pipeline: successor, replaces: pipelineId }];
  }
  return [];
}

/** undefined: a successor that is READY has not been measured yet. */
export function isSlowerThanHoped(successor: Pipeline, replaced: Pipeline, state: ClusterState): boolean | undefined {
  const model = modelOf(successor.spec, state);
  const isMeasured = nodesOf(successor.spec, state).every((node) => node?.speeds.has(successor.spec.fingerprint));
  if (!model || !isMeasured) return state.now - successor.since < MEASURED_WITHIN_MS ? undefined : false;
  const others = { besides: [successor.spec.id, replaced.spec.id] };
  const gain = tokenCost(model, replaced.spec, state, others) / tokenCost(model, successor.spec, state, others);
  return gain < CONFIRMED_GAIN;
}

function fasterSuccessor({ spec, state: pipelineState }: Pipeline, state: ClusterState): PipelineSpec | undefined {
  const deployment = state.deployments.get(spec.modelId);
  const model = modelOf(spec, state);
  if (pipelineState !== 'READY' || !deployment || deployment.pins.length > 0 || !model) return undefined;
  const nodes = nodesOf(spec, state);
  if (!nodes.every((node) => node?.state === 'CONNECTED' && node.speeds.has(spec.fingerprint))) return undefined;
  // Nothing is given up for speed, and both must fit at once.
  const { contextLength, maxSequences } = spec;
  const asGood: Deployment = { ...deployment, contextLength, maxSequences };
  const unmeasured = hopedFor(spec.fingerprint, state);
  const placement = planDeployment(asGood, state, { workOf: spec.id, unmeasured });
  if (!('pipeline' in placement) || placement.pipeline.fingerprint !== spec.fingerprint) return undefined;
  const successor = placement.pipeline;
  const used = usedSuspects(
    avoidedPaths(state.faults, state.now),
    successor.stages.map(({ nodeId }) => nodeId),
  );
  const others = { besides: [spec.id], unmeasured };
  const cost = tokenCost(model, successor, state, others) + loadMsPerToken(missingBytes(model, successor, state));
  const gain = tokenCost(model, spec, state, others) / cost;
  return used.length === 0 && gain >= WORTHWHILE_GAIN ? successor : undefined;
}

/** Everything that is wanted serves, and nothing else is on its way. */
function isQuiet(cluster: ClusterState): boolean {
  const pipelines = pipelinesByModel(cluster);
  const enough = [...cluster.deployments.values()].every(
    ({ modelId, replicas }) => (pipelines.get(modelId)?.length ?? 0) === replicas,
  );
  const steady = [...cluster.nodes.values()].every(({ state }) => state === 'CONNECTED' || state === 'FAILED');
  return enough && steady && [...cluster.pipelines.values()].every(({ state }) => state === 'READY');
}

function hopedFor(fingerprint: string, { nodes }: ClusterState): EngineSpeed | undefined {
  const speeds = [...nodes.values()].flatMap((node) => node.speeds.get(fingerprint) ?? []);
  if (speeds.length === 0) return undefined;
  const fastest = speeds.reduce((best, speed) => (speed.decodeMsPerByte < best.decodeMsPerByte ? speed : best));
  return {
    decodeMsPerByte: fastest.decodeMsPerByte / OPTIMISM,
    prefillMsPerByte: fastest.prefillMsPerByte / OPTIMISM,
  };
}

/** As the planner counts it: one sequence alone, and one of as many as there are stages. */
function tokenCost(
  model: ModelInfo,
  spec: PipelineSpec,
  state: ClusterState,
  { besides, unmeasured }: { readonly besides: readonly string[]; readonly unmeasured?: EngineSpeed | undefined },
): number {
  const stages = spec.stages.flatMap(({ nodeId, layers }) => {
    const node = state.nodes.get(nodeId);
    const speed = node?.speeds.get(spec.fingerprint) ?? unmeasured;
    if (!node || !layers || !speed) return [];
    return [{ nodeId, layers, speed: machineSpeed({ speed, otherStages: stagesOn(node, state, besides) }, speed) }];
  });
  if (stages.length < spec.stages.length) return Infinity;
  const { tokenMs, stages: predicted, bottleneck } = predict(model, stages, spec.maxSequences, linksOf(state.nodes));
  return tokenMs + stages.length * predicted[bottleneck]!.computeMs;
}

function missingBytes(model: ModelInfo, { stages, fingerprint }: PipelineSpec, { nodes }: ClusterState): number {
  return stages.reduce((sum, { nodeId, layers = { from: 0, to: 0 } }) => {
    const cached = nodes.get(nodeId)?.cached.get(fingerprint) ?? { from: 0, to: 0 };
    const missing = model.layerBytes
      .slice(layers.from, layers.to)
      .filter((_bytes, index) => layers.from + index < cached.from || layers.from + index >= cached.to);
    return sum + missing.reduce((total, bytes) => total + bytes, 0);
  }, 0);
}

function nodesOf({ stages }: PipelineSpec, { nodes }: ClusterState): (ClusterNode | undefined)[] {
  return stages.map(({ nodeId }) => nodes.get(nodeId));
}

function modelOf({ fingerprint }: PipelineSpec, { nodes }: ClusterState): ModelInfo | undefined {
  for (const { models } of nodes.values()) {
    const model = models.find((each) => each.fingerprint === fingerprint);
    if (model) return model;
  }
  return undefined;
}
