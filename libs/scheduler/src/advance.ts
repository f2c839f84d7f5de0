import { apply } from './apply';
import { changesBetween, type ClusterChange } from './cluster-change';
import type { ClusterEvent, Decision, Observation } from './cluster-event';
import type { ClusterState, Milliseconds } from './cluster-state';
import { plan } from './plan';

/** Rounds of decisions at once. What is left to decide then waits for the next call: a rule that undoes another's work ends. */
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
  const take = (event: ClusterEvent): void => {
    const next = apply(event, current);
    if (event.kind === 'withdraw')
      changes.push({ event: 'model_withdrawn', modelId: event.modelId, reason: event.reason });
    changes.push(...changesBetween(current, next));
    current = next;
  };
  observations.forEach(take);
  for (let round = 0; round < MAX_ROUNDS; round++) {
    const due = plan(current, { now });
    if (due.length === 0) break;
    due.forEach(take);
    decisions.push(...due);
  }
  return { state: current, decisions, changes };
}
