import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { usedBytes } from './cluster-state';
import { MEMORY_HEADROOM } from './memory-ledger';
import { plan } from './plan';
import { routes } from './routes';
import { modelInfo, SimulatedCluster } from './simulated-cluster.fixture';

const NODES = ['a', 'b', 'c', 'd'];
const models = [modelInfo(), modelInfo({ id: 'other', fingerprint: 'f2', layers: 3 })];

type Trouble = (cluster: SimulatedCluster, id: string) => void;

/** What may happen to a cluster; each does nothing where it makes no sense. */
const TROUBLES: Record<string, Trouble> = {
  start: (cluster, id) => cluster.start(id, { models, memoryBytes: 5e6 }),
  kill: (cluster, id) => cluster.nodes.get(id)?.running && cluster.kill(id),
  leave: (cluster, id) => cluster.nodes.get(id)?.running && cluster.leave(id),
  freeze: (cluster, id) => {
    const node = cluster.nodes.get(id);
    if (node) node.running = false;
  },
  disconnect: (cluster, id) => cluster.nodes.has(id) && cluster.disconnect(id),
  reconnect: (cluster, id) => cluster.nodes.get(id)?.running && cluster.register(id),
  failLoads: (cluster, id) => {
    const node = cluster.nodes.get(id);
    if (node) node.loadsFail = !node.loadsFail;
  },
  breakPipeline: (cluster, id) => {
    const pipelineId = cluster.nodes.get(id)?.shards.keys().next().value;
    if (pipelineId !== undefined && cluster.state.pipelines.has(pipelineId)) cluster.breakPipeline(pipelineId);
  },
  drain: (cluster, id) => cluster.setDrained(id, true),
  uncordon: (cluster, id) => cluster.setDrained(id, false),
  cut: (cluster, id) => cluster.cut(id, NODES[(NODES.indexOf(id) + 1) % NODES.length]!),
  heal: (cluster) => cluster.heal(),
  scale: (cluster, id) => cluster.deploy({ replicas: 1 + NODES.indexOf(id) }),
  pin: (cluster, id) => cluster.deploy({ pins: [{ nodeId: id, layers: { from: 0, to: 6 } }] }),
  undeploy: (cluster) => cluster.undeploy(),
  restartHub: (cluster) => cluster.restartHub(),
  wait: (cluster) => cluster.pass(7_000),
};

const arbitraryTrouble = fc.tuple(fc.constantFrom(...Object.keys(TROUBLES)), fc.constantFrom(...NODES));

function expectSound(cluster: SimulatedCluster): void {
  const { state } = cluster;
  expect(plan(state, { now: cluster.now })).toEqual([]);
  for (const node of state.nodes.values()) {
    if (node.state === 'CONNECTED')
      expect(usedBytes(state, node)).toBeLessThanOrEqual(node.memoryBytes * MEMORY_HEADROOM);
  }
  for (const { spec } of state.pipelines.values()) {
    expect(new Set(spec.stages.map(({ nodeId }) => nodeId)).size).toBe(spec.stages.length);
  }
  for (const { pipeline } of routes(state).routes) {
    expect(state.pipelines.get(pipeline!.id)?.state).toBe('READY');
    for (const { nodeId } of pipeline!.stages)
      expect(state.nodes.get(nodeId)?.state).not.toMatch(/SUSPECT|LEAVING|FAILED/);
  }
}

describe('a cluster in any trouble', () => {
  it('stays sound, and serves every deployment again once its nodes are well', () => {
    fc.assert(
      fc.property(fc.array(arbitraryTrouble, { maxLength: 40 }), fc.constantFrom(0, 1, 2, 3), (troubles, stages) => {
        const cluster = new SimulatedCluster({ models: ['nano', 'other'], stages });
        for (const [trouble, id] of troubles) {
          TROUBLES[trouble]!(cluster, id);
          expectSound(cluster);
        }
        for (const id of NODES) cluster.start(id, { models, memoryBytes: 5e6 });
        for (const id of NODES) cluster.setDrained(id, false);
        cluster.heal();
        cluster.deploy({ stages });
        cluster.pass(90_000);
        expectSound(cluster);
        expect(Object.keys(cluster.pipelines)).toEqual(['READY']);
        const held = [...cluster.nodes.values()].flatMap(({ shards }) => [...shards.keys()]);
        expect(new Set(held)).toEqual(new Set(cluster.pipelines.READY));
        expect(
          routes(cluster.state)
            .routes.map(({ pipeline }) => pipeline!.modelId)
            .sort(),
        ).toEqual(['nano', 'other']);
        const commands = cluster.commands.length;
        cluster.pass(60_000);
        expect(cluster.commands).toHaveLength(commands);
      }),
      { numRuns: 300 },
    );
  }, 60_000);
});
