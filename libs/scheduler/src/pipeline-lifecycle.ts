import type { PipelineFault, StageSpec } from '@pangalactic/contracts';
import {
  isEnded,
  isLive,
  type ClusterNode,
  type ClusterState,
  type Deployment,
  type Milliseconds,
  type Pipeline,
} from './cluster-state';
import { acquit, remember } from './fault-memory';

/** A load that shows no sign of life on any stage for this long is given up. */
export const LOAD_STALL_MS = 600_000;
/** A pipeline that has served this long clears its deployment's record of failures. */
export const STABLE_MS = 10_000;
const FIRST_RETRY_MS = 500;
const LONGEST_RETRY_MS = 60_000;
/** What had served broke for a reason that came later, such as a dead node; and streams wait for the successor. */
const LONGEST_RETRY_AFTER_SERVING_MS = FIRST_RETRY_MS;

/** Wait before the next attempt after `failures` failures in a row. */
export function retryDelay(failures: number): Milliseconds {
  return failures === 0 ? 0 : Math.min(LONGEST_RETRY_MS, FIRST_RETRY_MS * 2 ** (failures - 1));
}

/** Moves every pipeline to the state that follows from what its nodes report: no event sets READY or BROKEN by itself. */
export function settlePipelines(state: ClusterState): ClusterState {
  const pipelines = new Map(state.pipelines);
  const deployments = new Map(state.deployments);
  let { faults } = state;
  let changed = false;
  for (const [id, pipeline] of state.pipelines) {
    const { next, fault } = settled(pipeline, state);
    if (next === pipeline) continue;
    changed = true;
    pipelines.set(id, next);
    if (next.state === 'READY') faults = acquit(faults, next.spec);
    if (fault && pipeline.state !== 'DRAINING') faults = remember(faults, fault, pipeline.state === 'READY', state.now);
    const deployment = deployments.get(pipeline.spec.modelId);
    if (deployment && next.state === 'BROKEN' && pipeline.state !== 'DRAINING') {
      deployments.set(deployment.modelId, afterFailure(deployment, pipeline, next));
    }
  }
  return changed ? { ...state, pipelines, deployments, faults } : state;
}

/** A pipeline that stops serving may leave streams that wait for its successor: they count like clients that ask for it. */
export function requestSuccessors(before: ClusterState, after: ClusterState): ClusterState {
  if (before.pipelines === after.pipelines) return after;
  const waitedFor = [...before.pipelines].flatMap(([id, { spec, state }]) => {
    const served = state === 'READY' || state === 'DRAINING';
    const deployment = after.deployments.get(spec.modelId);
    return served && deployment && after.pipelines.get(id)?.state !== state ? deployment : [];
  });
  if (waitedFor.length === 0) return after;
  const at = after.now;
  const requested = waitedFor.map((each) => [each.modelId, { ...each, requestedAt: at, waitingSince: at }] as const);
  return { ...after, deployments: new Map([...after.deployments, ...requested]) };
}

interface Settled {
  readonly next: Pipeline;
  /** What a stage says of its end. */
  readonly fault?: PipelineFault | undefined;
}

interface Breakage {
  readonly reason: string;
  readonly fault?: PipelineFault | undefined;
}

function settled(pipeline: Pipeline, state: ClusterState): Settled {
  if (isEnded(pipeline)) return { next: pipeline };
  const breakage = breakageOf(pipeline, state);
  if (breakage) {
    const { reason, fault } = breakage;
    return { next: { ...pipeline, state: 'BROKEN', since: state.now, reason }, fault };
  }
  const head = pipeline.spec.stages[0];
  const headShard = head && state.nodes.get(head.nodeId)?.shards.get(pipeline.spec.id);
  if (pipeline.state === 'LOADING' && headShard?.phase === 'READY') {
    return { next: { ...pipeline, state: 'READY', since: state.now } };
  }
  return { next: pipeline };
}

/** The first thing that makes the pipeline unable to serve, ever. */
function breakageOf(pipeline: Pipeline, state: ClusterState): Breakage | undefined {
  for (const [index, stage] of pipeline.spec.stages.entries()) {
    const node = state.nodes.get(stage.nodeId);
    const fault = node?.shards.get(pipeline.spec.id)?.fault;
    const reason = stageBreakage(pipeline, index, stage, node, fault);
    if (reason !== undefined) return { reason, fault };
  }
  if (pipeline.state === 'LOADING' && state.now - lastProgress(pipeline, state) > LOAD_STALL_MS) {
    return { reason: `no stage made progress for ${LOAD_STALL_MS / 1000} s` };
  }
  return undefined;
}

function stageBreakage(
  pipeline: Pipeline,
  index: number,
  stage: StageSpec,
  node: ClusterNode | undefined,
  fault: PipelineFault | undefined,
): string | undefined {
  if (node === undefined || node.state === 'FAILED') return `node ${stage.nodeId} FAILED`;
  if (node.address !== stage.address) return `node ${node.id} moved from ${stage.address} to ${node.address}`;
  // Suspicion alone never moves a shard that serves; one that does not serve yet is better loaded elsewhere.
  const notServing = pipeline.state === 'PLANNED' || pipeline.state === 'LOADING';
  const doubtful = node.state === 'SUSPECT' || node.state === 'LEAVING';
  if (notServing && doubtful) return `node ${node.id} is ${node.state}`;
  const shard = node.shards.get(pipeline.spec.id);
  if (shard?.phase === 'BROKEN') {
    if (!fault) return `stage ${index} on ${node.id} is BROKEN`;
    return `stage ${fault.stage} on ${fault.nodeId}: ${fault.reason}`;
  }
  // A node that is not connected keeps its shards until it says otherwise, or its machine does.
  const isCertain = node.state === 'CONNECTED' || node.state === 'SUSPECT';
  if (isLive(pipeline) && isCertain && !shard) {
    return `node ${node.id} does not hold stage ${index} any more`;
  }
  return undefined;
}

function lastProgress(pipeline: Pipeline, state: ClusterState): Milliseconds {
  const changes = pipeline.spec.stages.map(
    (stage) => state.nodes.get(stage.nodeId)?.shards.get(pipeline.spec.id)?.changedAt ?? 0,
  );
  return Math.max(pipeline.since, ...changes);
}

/** The first break of a pipeline that served is repaired at once; what keeps breaking is retried ever more slowly. */
function afterFailure(deployment: Deployment, before: Pipeline, broken: Pipeline): Deployment {
  const now = broken.since;
  const served = before.state === 'READY';
  const stable = served && now - before.since >= STABLE_MS;
  const failures = stable ? 0 : deployment.failures + 1;
  const delay = served
    ? Math.min(LONGEST_RETRY_AFTER_SERVING_MS, retryDelay(Math.max(0, failures - 1)))
    : retryDelay(failures);
  return { ...deployment, failures, lastFailure: broken.reason, retryAt: now + delay };
}
