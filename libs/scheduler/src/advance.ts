import { apply } from './apply';
import { changesBetween, type ClusterChange } from './cluster-change';
import type { ClusterEvent, Decision, Observation } from './cluster-event';
import type { ClusterState, Milliseconds } from './cluster-state';
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
  const take = (event: ClusterEvent): void => {
    const next = apply(event, current);
    if (event.kind === 'withdraw')
      changes.push({ event: 'model_withdrawn', modelId: event.modelId, reason: event.reason });
    changes.push(...changesBetween(current, next));
    current = next;
  };
  observations.forEach(take);
  let due = plan(current, { now });
  for (let round = 0; due.length > 0 && round < MAX_ROUNDS; round++) {
    due.forEach(take);
    decisions.push(...due);
    due = plan(current, { now });
  }
  if (due.length > 0) changes.push({ event: 'plan_unfinished', rounds: MAX_ROUNDS });
  return { state: current, decisions, changes };
}
