import { ShardState } from '@pangalactic/contracts';
import { describe, expect, it } from 'vitest';
import { viewModel, viewModels } from './model-view';
import { routes } from './routes';
import { modelInfo, SimulatedCluster } from './simulated-cluster.fixture';

const { SHARD_STATE_LOADING, SHARD_STATE_READY } = ShardState;

/** `a` hears every load and answers only what the test makes it answer. */
const loadingOn = (...ids: string[]): SimulatedCluster => {
  const cluster = new SimulatedCluster({ models: [], stages: ids.length });
  for (const id of ids) cluster.start(id);
  for (const id of ids) cluster.node(id).running = false;
  cluster.request('nano');
  return cluster;
};
const nano = (cluster: SimulatedCluster) => viewModel('nano', cluster.state, cluster.now);

describe('a model that loads', () => {
  it('tells how far it is, by the bytes of its stages, and how long it takes by its pace', () => {
    const cluster = loadingOn('a', 'b');
    expect(nano(cluster)).toMatchObject({ state: 'LOADING', progress: 0, etaSeconds: undefined });
    cluster.now += 10_000;
    cluster.report('a', 'nano-1-1', SHARD_STATE_LOADING, { progress: 0.5 });
    const [a, b] = cluster.state.pipelines.get('nano-1-1')!.spec.stages;
    const half = (a!.memoryBytes * 0.5) / (a!.memoryBytes + b!.memoryBytes);
    expect(nano(cluster).progress).toBeCloseTo(half);
    expect(nano(cluster).etaSeconds).toBeCloseTo((10 * (1 - half)) / half);
    for (const id of ['b', 'a']) cluster.report(id, 'nano-1-1', SHARD_STATE_READY);
    expect(nano(cluster)).toMatchObject({ state: 'READY', progress: 1, etaSeconds: undefined, waitingFor: '' });
  });

  it('gives no time left by a pace that tells nothing yet', () => {
    const cluster = loadingOn('a');
    cluster.now += 1_000;
    cluster.report('a', 'nano-1-1', SHARD_STATE_LOADING, { progress: 0.04 });
    expect(nano(cluster)).toMatchObject({ progress: 0.04, etaSeconds: undefined });
  });
});

describe('models of a cluster', () => {
  it('are those that nodes hold, each version with its nodes', () => {
    const cluster = new SimulatedCluster({ models: [], stages: 0 });
    cluster.start('a', { models: [modelInfo({ fingerprint: 'old' })] });
    for (const id of ['b', 'c']) cluster.start(id, { models: [modelInfo(), modelInfo({ id: 'mini', layers: 2 })] });
    const [mini, both] = viewModels(cluster.state, cluster.now);
    expect(mini).toMatchObject({ id: 'mini', state: 'NOT_LOADED', origin: '', contextLength: 256 });
    expect(both?.versions).toMatchObject([
      { fingerprint: 'f1', layers: 6, nodeIds: ['b', 'c'] },
      { fingerprint: 'old', nodeIds: ['a'] },
    ]);
  });

  it('are known to gateways while no node has come back to a hub that restarted', () => {
    const cluster = new SimulatedCluster({ models: [], stages: 0 });
    cluster.start('a');
    const known = [{ id: 'nano', state: 'NOT_LOADED', contextLength: 256, origin: '' }];
    expect(routes(cluster.state).models).toEqual(known);
    cluster.restartHub();
    expect(routes(cluster.state).models).toEqual(known);
    cluster.pass(60_000);
    expect(routes(cluster.state).models).toEqual(known.slice(1));
  });

  it('are none of the business of gateways when they must not load them', () => {
    const cluster = new SimulatedCluster({ models: [], stages: 0, autoload: false });
    cluster.start('a');
    expect(routes(cluster.state).models).toEqual([]);
    cluster.deploy();
    expect(routes(cluster.state).models).toMatchObject([{ id: 'nano', state: 'READY', origin: 'OPERATOR' }]);
  });
});

describe('a model that an operator wants otherwise', () => {
  it('is served as before until the new wish has a place, and says what that waits for', () => {
    const cluster = new SimulatedCluster({ models: ['nano'], stages: 0 });
    cluster.start('a');
    expect(nano(cluster)).toMatchObject({ state: 'READY', wantedState: 'READY', progress: 1, waitingFor: '' });
    cluster.deploy({ stages: 2 });
    expect(nano(cluster)).toMatchObject({ state: 'READY', wantedState: 'WAITING', progress: 0 });
    expect(nano(cluster).waitingFor).toMatch(/^2 stages need 2 nodes/);
    cluster.start('b');
    expect(nano(cluster)).toMatchObject({ state: 'READY', wantedState: 'READY', progress: 1, waitingFor: '' });
  });
});

describe('a model that does not fit', () => {
  const tooSmall = (...others: string[]) => {
    const cluster = new SimulatedCluster({ models: ['nano'], stages: 0 });
    cluster.start('a', { memoryBytes: 1e6 });
    for (const id of others) cluster.start(id, { models: [] });
    return nano(cluster).waitingFor;
  };

  it('names the nodes that hold its file when others could help, and what to do', () => {
    expect(tooSmall('c', 'b')).toMatch(
      /^nano needs .*; the file is on a alone: download it to b, c too, or let all nodes share one NODE_MODEL_DIR$/,
    );
    expect(tooSmall(...'bcdefgh')).toContain('download it to b, c, d, e, f and 2 more too');
  });

  it('says nothing of the kind when every node has it', () => expect(tooSmall()).not.toContain('file'));

  it('does not count nodes that take no part anyway', () => {
    const cluster = new SimulatedCluster({ models: ['nano'], stages: 0 });
    cluster.start('a', { memoryBytes: 1e6 });
    cluster.start('b', { models: [] });
    cluster.setDrained('b', true);
    expect(nano(cluster).waitingFor).not.toContain('file');
  });
});
