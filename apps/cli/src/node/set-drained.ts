import type { GetClusterResponse } from '@pangalactic/contracts';
import { callHub, HUB_DEADLINE_MS } from '../call-hub';

/**
 * Tells the hub whether the node may get shards.
 * @returns what to tell the operator
 * @throws CommandError that names the address
 */
export function setDrained(hubAddress: string, nodeId: string, drained: boolean): Promise<string> {
  const options = { deadlineMs: HUB_DEADLINE_MS };
  return callHub(hubAddress, async (hub) => {
    await hub.setNodeDrained({ nodeId, drained }, options);
    if (!drained) return `${nodeId} may get shards again`;
    return drainText(nodeId, await hub.getCluster({}, options));
  });
}

export function drainText(nodeId: string, { pipelines }: Pick<GetClusterResponse, 'pipelines'>): string {
  const left = pipelines.flatMap(({ pipeline, state }) =>
    pipeline?.stages.some((stage) => stage.nodeId === nodeId) ? [`${pipeline.id} (${state})`] : [],
  );
  const rest = left.length === 0 ? 'and holds none' : `and still holds its part of ${left.join(', ')}`;
  return `${nodeId} is drained: it gets no new shards ${rest}`;
}
