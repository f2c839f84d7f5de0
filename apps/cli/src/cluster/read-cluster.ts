import type { ExplainPlanResponse, GetClusterResponse } from '@pangalactic/contracts';
import { callHub, HUB_DEADLINE_MS } from '../call-hub';

/** @throws CommandError that names the address */
export function readCluster(hubAddress: string): Promise<GetClusterResponse> {
  return callHub(hubAddress, (hub) => hub.getCluster({}, { deadlineMs: HUB_DEADLINE_MS }));
}

/** @throws CommandError that names the address */
export function readPlan(hubAddress: string): Promise<ExplainPlanResponse> {
  return callHub(hubAddress, (hub) => hub.explainPlan({}, { deadlineMs: HUB_DEADLINE_MS }));
}
