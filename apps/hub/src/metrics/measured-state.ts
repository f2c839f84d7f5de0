import type { StateRepository } from '@pangalactic/state';
import type { HubMetrics, StateOperation } from './hub-metrics';

const OPERATIONS: readonly StateOperation['operation'][] = ['commit', 'get', 'list'];

/** The repository with the operations timed that somebody waits for. */
export function measuredState(repository: StateRepository, backend: string, metrics: HubMetrics): StateRepository {
  for (const operation of OPERATIONS) metrics.expectStateErrors({ backend, operation });
  const timed = <T>(operation: StateOperation['operation'], run: () => Promise<T>) =>
    metrics.timeStateOperation({ backend, operation }, run);
  return {
    get: (key) => timed('get', () => repository.get(key)),
    list: (prefix) => timed('list', () => repository.list(prefix)),
    commit: (commit) => timed('commit', () => repository.commit(commit)),
    watch: (...from) => repository.watch(...from),
    lead: (candidacy) => repository.lead(candidacy),
    currentTerm: () => repository.currentTerm(),
    restore: (...backup) => repository.restore(...backup),
    close: () => repository.close(),
  };
}
