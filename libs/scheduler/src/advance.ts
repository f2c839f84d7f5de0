import { apply, applySessions } from './apply';
import { changesBetween, type ClusterChange } from './cluster-change';
import type { ClusterEvent, Decision, SessionEvent, Observation } from './cluster-event';
import type { ClusterState, Milliseconds } from './cluster-state';
import { nodeIdOf } from './node-reports';
import { plan } from './plan';

/** Rounds of decisions at once: rules that undo each other's work end. What is left to decide then waits for the next call. */
export const MAX_ROUNDS = 1_000;

export interface Advance {
  readonly state: ClusterState;
  /** In order; each is already part of `state`. */
  readonly decisions: readonly Decision[];
  readonly changes: readonly ClusterChange[];
}

/** Applies what was observed, then decides until there is nothing left to decide. */
export function advance(state: ClusterState, observations: readonly Observation[], now: Milliseconds): Advance {
  const decisions: Decision[] = [];
  const changes: ClusterChange[] = [];
  let current = state;
  const become = (next: ClusterState): void => {
    changes.push(...changesBetween(current, next));
    current = next;
  };
  const take = (event: ClusterEvent): void => {
    if (event.kind === 'withdraw')
      changes.push({ event: 'model_withdrawn', modelId: event.modelId, reason: event.reason });
    become(apply(event, current));
  };
  for (const next of withSessionsJoined(observations)) {
    if ('kind' in next) take(next);
    else become(applySessions(next, current));
  }
  let due = plan(current, { now });
  for (let round = 0; due.length > 0 && round < MAX_ROUNDS; round++) {
    due.forEach(take);
    decisions.push(...due);
    due = plan(current, { now });
  }
  if (due.length > 0) changes.push({ event: 'plan_unfinished', rounds: MAX_ROUNDS });
  return { state: current, decisions, changes };
}

/** In order; sessions of different nodes that open or close one after another as one, because a thousand may at once. */
function withSessionsJoined(observations: readonly Observation[]): (Observation | SessionEvent[])[] {
  const joined: (Observation | SessionEvent[])[] = [];
  const nodeIds = new Set<string>();
  for (const observation of observations) {
    if (observation.kind !== 'node_registered' && observation.kind !== 'session_closed') {
      joined.push(observation);
      continue;
    }
    const nodeId = nodeIdOf(observation);
    const last = joined.at(-1);
    if (Array.isArray(last) && !nodeIds.has(nodeId)) last.push(observation);
    else {
      joined.push([observation]);
      nodeIds.clear();
    }
    nodeIds.add(nodeId);
  }
  return joined;
}
