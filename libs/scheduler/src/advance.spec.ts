import { ShardState } from '@pangalactic/contracts';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { advance, MAX_ROUNDS } from './advance';
import { apply } from './apply';
import type { SessionEvent } from './cluster-event';
import type { ClusterState } from './cluster-state';
import { clusterOf, modelInfo, shardStatus, SimulatedCluster } from './simulated-cluster.fixture';

/** What breaks for two reasons at once may say either. */
function withoutReasons(state: ClusterState): ClusterState {
  const pipelines = [...state.pipelines].map(([id, pipeline]) => [id, { ...pipeline, reason: '' }] as const);
  return { ...state, pipelines: new Map(pipelines) };
}

describe('advance', () => {
  it('says so when there is more to decide than it does at once, and goes on with the next call', () => {
    // Each takes two rounds: to plan a pipeline, and to load it.
    const models = Array.from({ length: MAX_ROUNDS / 2 + 1 }, (_, index) =>
      modelInfo({ id: `m${index}`, fingerprint: `f${index}`, layers: 1 }),
    );
    const cluster = new SimulatedCluster({ models: models.map(({ id }) => id), stages: 0 });
    cluster.start('a', { models, memoryBytes: 1e12 });
    expect(cluster.changes).toContainEqual({ event: 'plan_unfinished', rounds: MAX_ROUNDS });
    cluster.pass(1);
    expect(cluster.pipelines.READY).toHaveLength(models.length);
  });

  it('takes sessions that open and close at once as it takes them one after another', () => {
    const nodeIds = ['a', 'b', 'c', 'd', 'e'];
    const arbitraryEvent = fc.record({
      nodeId: fc.constantFrom(...nodeIds, 'new'),
      closes: fc.boolean(),
      address: fc.constantFrom(...nodeIds.map((id) => `${id}:7200`), 'elsewhere:1'),
      holdsShard: fc.boolean(),
      isStale: fc.boolean(),
    });
    fc.assert(
      fc.property(fc.array(arbitraryEvent, { maxLength: 8 }), (happenings) => {
        const cluster = clusterOf(3, ...nodeIds);
        const { now, state } = cluster;
        const [held] = cluster.pipelines.READY!;
        const events = happenings.map(({ nodeId, closes, address, holdsShard, isStale }, index): SessionEvent => {
          const session = state.nodes.get(nodeId)?.sessionId ?? 0;
          if (closes) return { kind: 'session_closed', at: now, nodeId, sessionId: isStale ? session - 1 : session };
          const shards = holdsShard ? [shardStatus(held!, ShardState.SHARD_STATE_READY)] : [];
          const known = { computeType: 'cpu', simulated: false, memoryBytes: 1e9, version: '1' };
          const inventory = { models: [modelInfo()], rejected: [] };
          const identity = { ...known, id: nodeId, address };
          return { kind: 'node_registered', at: now, sessionId: 100 + index, identity, inventory, shards };
        });
        // Nothing is planned, so what was observed is all that differs.
        const wanted = { models: [], stages: 0 };
        const undeployed = apply({ kind: 'undeploy', at: now, modelId: 'nano' }, { ...state, wanted });
        const oneByOne = events.reduce((before, event) => apply(event, before), undeployed);
        expect(withoutReasons(advance(undeployed, events, now).state)).toEqual(
          withoutReasons(advance(oneByOne, [], now).state),
        );
      }),
    );
  });
});
