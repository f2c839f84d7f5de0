import { describe, expect, it } from 'vitest';
import { viewModels } from './model-view';
import { RESERVATION_MS } from './reservations';
import { modelInfo, SimulatedCluster } from './simulated-cluster.fixture';

const SMALL = ['a', 'b', 'c', 'd'];
const models = [
  ...SMALL.map((id) => modelInfo({ id, fingerprint: `weights of ${id}` })),
  modelInfo({ id: 'big', fingerprint: 'weights of big', layerBytes: Array<number>(6).fill(600_000) }),
];
/** Of each node: for one of the small models, or for half of the big one. */
const ROOM = 6e6;

/** Two nodes, on which a and b run for clients. */
const fullCluster = (): SimulatedCluster => {
  const cluster = new SimulatedCluster({ models: [], stages: 0 });
  for (const id of ['one', 'two']) cluster.start(id, { models, memoryBytes: ROOM });
  for (const id of ['a', 'b']) cluster.request(id);
  cluster.pass(20_000);
  return cluster;
};
const modelsIn = (cluster: SimulatedCluster, state: string) =>
  viewModels(cluster.state, cluster.now).flatMap((model) => (model.state === state ? model.id : []));
const pipelineOf = (cluster: SimulatedCluster, modelId: string) =>
  [...cluster.state.pipelines.values()].find(({ spec }) => spec.modelId === modelId)!.spec.id;
const begin = (cluster: SimulatedCluster, modelId: string) => {
  cluster.busy.add(pipelineOf(cluster, modelId));
  cluster.pass(1_000);
};
/** Clients wait for these for so long. */
const wait = (cluster: SimulatedCluster, milliseconds: number, modelIds: readonly string[]) => {
  for (const end = cluster.now + milliseconds; cluster.now < end; cluster.pass(1_000)) {
    for (const id of modelIds) cluster.request(id);
  }
};

describe('a model that needs two nodes', () => {
  it('gets them although clients ask for one small model after another', () => {
    const cluster = fullCluster();
    for (let turn = 0; turn < 40 && !modelsIn(cluster, 'READY').includes('big'); turn++) {
      const small = SMALL[turn % SMALL.length]!;
      wait(cluster, 4_000, ['big', small]);
      if (modelsIn(cluster, 'READY').includes(small)) cluster.usedAt.set(pipelineOf(cluster, small), cluster.now);
    }
    expect(modelsIn(cluster, 'READY')).toEqual(['big']);
  });

  it('keeps the node that falls free first until the other one does', () => {
    const cluster = fullCluster();
    cluster.request('big');
    begin(cluster, 'b');
    wait(cluster, 30_000, ['big', 'c']);
    expect(modelsIn(cluster, 'READY')).toEqual([]);
    expect(modelsIn(cluster, 'WAITING')).toEqual(['big', 'c']);
    const [waiting] = viewModels(cluster.state, cluster.now).filter(({ id }) => id === 'c');
    expect(waiting?.waitingFor).toBe('big, which goes first');
    cluster.busy.clear();
    wait(cluster, 10_000, ['big', 'c']);
    expect(modelsIn(cluster, 'READY')).toEqual(['big']);
  });

  it('of a client lets others go first after a minute without its place, then keeps it again', () => {
    const cluster = fullCluster();
    begin(cluster, 'b');
    wait(cluster, RESERVATION_MS - 5_000, ['big', 'c']);
    expect(modelsIn(cluster, 'READY')).toEqual(['a', 'b']);
    wait(cluster, 25_000, ['big', 'c']);
    expect(modelsIn(cluster, 'READY')).toEqual(['b', 'c']);
    wait(cluster, RESERVATION_MS - 10_000, ['big', 'c']);
    wait(cluster, 30_000, ['big', 'd']);
    expect(modelsIn(cluster, 'READY')).toEqual(['b', 'c']);
  });

  it('of an operator goes before older wishes of clients and keeps its place for as long as it takes', () => {
    const cluster = fullCluster();
    begin(cluster, 'b');
    cluster.request('c');
    cluster.deploy({ modelId: 'big' });
    wait(cluster, 4 * RESERVATION_MS, ['c']);
    expect(modelsIn(cluster, 'READY')).toEqual(['b']);
    expect(modelsIn(cluster, 'WAITING')).toEqual(['big', 'c']);
    cluster.busy.clear();
    wait(cluster, 30_000, ['c']);
    expect(modelsIn(cluster, 'READY')).toEqual(['big']);
  });

  it('keeps nobody from a node that it does not need', () => {
    const cluster = fullCluster();
    begin(cluster, 'b');
    cluster.request('big');
    cluster.start('three', { models: models.slice(0, SMALL.length), memoryBytes: ROOM });
    cluster.request('c');
    expect(modelsIn(cluster, 'READY')).toEqual(['a', 'b', 'c']);
  });

  it('keeps nobody from anything where it cannot run at all', () => {
    const cluster = fullCluster();
    cluster.deploy({ modelId: 'big', stages: 3 });
    wait(cluster, 10_000, ['c']);
    expect(modelsIn(cluster, 'READY')).toEqual(['b', 'c']);
  });
});
