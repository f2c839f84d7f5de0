import type { LinkTimes, StageTimes } from '@pangalactic/contracts';
import type { ClusterNode, Pipeline } from './cluster-state';
import { ASSUMED_LINK, workBytes, type EngineSpeed, type Link, type LinkBetween } from './cost-model';

/** The node with what a heartbeat tells of its speed. Nothing of it is stored: it is measured again soon enough. */
export function withMeasurements(
  node: ClusterNode,
  stageTimes: readonly StageTimes[],
  links: readonly LinkTimes[],
  pipelines: ReadonlyMap<string, Pipeline>,
): ClusterNode {
  const speeds = new Map(node.speeds);
  for (const times of stageTimes) {
    const spec = pipelines.get(times.pipelineId)?.spec;
    const speed = spec && speedOf(node, spec, times);
    if (speed) speeds.set(spec.fingerprint, speed);
  }
  const known = new Map(node.links);
  for (const { nodeId, roundTripMs, bytesPerSecond } of links) {
    if (isTime(roundTripMs) && isTime(bytesPerSecond)) {
      known.set(nodeId, { rttMs: roundTripMs, bytesPerMs: bytesPerSecond / 1000 });
    }
  }
  return { ...node, stageTimes, speeds, links: known };
}

function speedOf(node: ClusterNode, spec: Pipeline['spec'], times: StageTimes): EngineSpeed | undefined {
  const model = node.models.find(({ fingerprint }) => fingerprint === spec.fingerprint);
  const layers = spec.stages.find(({ nodeId }) => nodeId === node.id)?.layers;
  const bytes = model && layers ? workBytes(model, layers) : 0;
  const { singleDecodeMs, prefillTokenMs } = times;
  if (!isTime(singleDecodeMs) || !isTime(prefillTokenMs) || bytes <= 0) return undefined;
  return { decodeMsPerByte: singleDecodeMs / bytes, prefillMsPerByte: prefillTokenMs / bytes };
}

function isTime(value: number): boolean {
  return Number.isFinite(value) && value > 0;
}

/** As either end has measured it; what nobody measured counts as a quiet local network. */
export function linksOf(nodes: ReadonlyMap<string, ClusterNode>): LinkBetween {
  return (from, to): Link => nodes.get(from)?.links.get(to) ?? nodes.get(to)?.links.get(from) ?? ASSUMED_LINK;
}
