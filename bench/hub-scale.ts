import { measureHeartbeats } from './heartbeats';
import { measurePlanning } from './planning-times';

/** What a hub can bear: nodes that beat, and nodes to plan for. */
export async function measureHubScale(rounds: number): Promise<object> {
  return { planning: measurePlanning(), heartbeats: await measureHeartbeats(rounds) };
}
