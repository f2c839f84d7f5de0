import { ShardState } from '@pangalactic/contracts';
import { describe, expect, it } from 'vitest';
import { viewCluster } from './cluster-view';
import { routes } from './routes';
import {
  clusterOf,
  HEARTBEAT_TIMEOUT_MS,
  modelInfo,
  nodesOf,
  routed,
  SimulatedCluster,
  waitingFor,
} from './simulated-cluster.fixture';

const { SHARD_STATE_LOADING, SHARD_STATE_READY, SHARD_STATE_BROKEN } = ShardState;

describe('a hub restart', () => {
  it('keeps READY pipelines READY and sends nothing to nodes that still hold their shards', () => {
    const cluster = clusterOf(3, 'a', 'b', 'c');
    cluster.pass(20_000);
    cluster.restartHub();
    expect(routed(cluster)).toEqual(['nano-1-1']);
    for (const id of ['a', 'b', 'c']) cluster.register(id);
    cluster.pass(60_000);
    expect(cluster.commands).toEqual([]);
    expect(cluster.pipelines).toEqual({ READY: ['nano-1-1'] });
  });

  it('gives nodes the heartbeat timeout to come back, then replaces what they held', () => {
    const cluster = clusterOf(2, 'a', 'b', 'c');
    cluster.restartHub();
    cluster.register('a');
    cluster.register('c');
    cluster.node('b').running = false;
    cluster.pass(HEARTBEAT_TIMEOUT_MS);
    expect(cluster.commands).toEqual([]);
    cluster.pass(5_000);
    expect(cluster.pipelines).toEqual({ READY: ['nano-2-1'] });
    expect(nodesOf(cluster, 'nano-2-1')).toEqual(['a', 'c']);
  });

  it('lets a load go on that had begun', () => {
    const cluster = clusterOf(2, 'a');
    cluster.node('a').running = false;
    cluster.start('b');
    cluster.node('a').shards.set('nano-1-1', SHARD_STATE_LOADING);
    cluster.restartHub();
    cluster.register('a');
    cluster.register('b');
    expect(cluster.pipelines).toEqual({ LOADING: ['nano-1-1'] });
    cluster.report('a', 'nano-1-1', SHARD_STATE_READY);
    expect(cluster.pipelines).toEqual({ READY: ['nano-1-1'] });
    expect(cluster.commands).toEqual([]);
  });

  it('withdraws models that are not wanted any more, after their sequences', () => {
    const cluster = clusterOf(1, 'a');
    cluster.restartHub({ wanted: { models: [], stages: 1 } });
    cluster.register('a');
    expect(cluster.pipelines).toEqual({ DRAINING: ['nano-1-1'] });
    expect(routes(cluster.state)).toMatchObject({
      routes: [],
      models: [{ id: 'nano', state: 'UNLOADING', origin: '' }],
    });
    cluster.pass(5_000);
    expect(cluster.pipelines).toEqual({});
    expect(cluster.node('a').shards.size).toBe(0);
  });

  it('replaces a pipeline of another shape, without a gap when memory allows', () => {
    const cluster = clusterOf(1, 'a', 'b', 'c');
    cluster.restartHub({ wanted: { models: ['nano'], stages: 3 } });
    cluster.register('a');
    expect(routed(cluster)).toEqual(['nano-1-1']);
    cluster.register('b');
    cluster.register('c');
    expect(cluster.pipelines).toEqual({ DRAINING: ['nano-1-1'], READY: ['nano-2-1'] });
    cluster.pass(5_000);
    expect(cluster.pipelines).toEqual({ READY: ['nano-2-1'] });
  });

  it('drains the old shape first when there is no room for both', () => {
    const cluster = new SimulatedCluster({ models: ['nano'], stages: 1 });
    for (const id of ['a', 'b']) cluster.start(id, { memoryBytes: id === 'a' ? 4e6 : 2e6 });
    expect(nodesOf(cluster, 'nano-1-1')).toEqual(['a']);
    cluster.restartHub({ wanted: { models: ['nano'], stages: 2 } });
    cluster.register('a');
    expect(cluster.pipelines).toEqual({ READY: ['nano-1-1'] });
    cluster.register('b');
    expect(cluster.pipelines).toEqual({ DRAINING: ['nano-1-1'] });
    cluster.pass(5_000);
    expect(cluster.pipelines).toEqual({ READY: ['nano-2-1'] });
  });
});

describe('a deployment', () => {
  it('begins when a node first reports the model, also later than at its registration', () => {
    const cluster = new SimulatedCluster();
    cluster.start('a', { models: [] });
    expect(routes(cluster.state).models).toEqual([]);
    expect(waitingFor(cluster)).toBe('no node has reported nano yet');
    const inventory = { models: [modelInfo()], rejected: [{ file: 'bad.gguf', reason: 'truncated' }] };
    const { sessionId } = cluster.node('a');
    cluster.observe({ kind: 'inventory', at: cluster.now, nodeId: 'a', sessionId, inventory });
    expect(routes(cluster.state).models).toMatchObject([{ id: 'nano', state: 'READY' }]);
    expect(cluster.pipelines).toEqual({ READY: ['nano-1-1'] });
    expect(viewCluster(cluster.state, cluster.now).nodes[0]).toMatchObject({
      id: 'a',
      state: 'CONNECTED',
      models: ['nano'],
      rejected: [{ file: 'bad.gguf' }],
    });
  });

  it('that an operator wants outlives the hub, and ends when it is not wanted any more', () => {
    const cluster = new SimulatedCluster({ models: [], stages: 0 });
    cluster.start('a');
    expect(cluster.pipelines).toEqual({});
    cluster.deploy({ contextLength: 100, maxSequences: 3 });
    const [serving] = routed(cluster);
    expect(cluster.state.pipelines.get(serving!)?.spec).toMatchObject({ contextLength: 100, maxSequences: 3 });
    expect(cluster.changes).toContainEqual({
      ...{
        event: 'deployment_added',
        modelId: 'nano',
        origin: 'OPERATOR',
        replicas: 1,
        contextLength: 100,
        maxSequences: 3,
      },
    });
    cluster.restartHub();
    cluster.register('a');
    cluster.pass(60_000);
    expect(routed(cluster)).toEqual([serving]);
    cluster.undeploy();
    expect(routes(cluster.state)).toMatchObject({
      routes: [],
      models: [{ id: 'nano', state: 'UNLOADING', origin: '' }],
    });
    cluster.pass(5_000);
    expect(cluster.pipelines).toEqual({});
    expect(cluster.changes).toContainEqual({ event: 'deployment_removed', modelId: 'nano' });
  });

  it('of the configuration that an operator does not want stays away, also after a restart, until he wants it', () => {
    const cluster = clusterOf(0, 'a');
    cluster.undeploy();
    cluster.pass(5_000);
    cluster.restartHub();
    cluster.register('a');
    expect(cluster.pipelines).toEqual({});
    expect(routes(cluster.state).models).toMatchObject([{ id: 'nano', state: 'NOT_LOADED', origin: '' }]);
    expect(waitingFor(cluster)).toBe('');
    cluster.deploy();
    expect(routed(cluster)).toHaveLength(1);
  });

  it('T10: runs only on nodes with the very same weights', () => {
    const cluster = new SimulatedCluster({ models: ['nano'], stages: 2 });
    cluster.start('a', { models: [modelInfo({ fingerprint: 'aaaa' })] });
    cluster.start('b', { models: [modelInfo({ fingerprint: 'bbbb' })] });
    expect(cluster.pipelines).toEqual({});
    expect(waitingFor(cluster)).toBe(
      'version aaaa: 2 stages need 2 nodes with nano; 1 available (a); ' +
        'version bbbb: 2 stages need 2 nodes with nano; 1 available (b)',
    );
    cluster.start('c', { models: [modelInfo({ fingerprint: 'bbbb' })] });
    expect(nodesOf(cluster, 'nano-1-1')).toEqual(['b', 'c']);
  });

  it('shares memory with others by the ledger', () => {
    const cluster = new SimulatedCluster({ models: ['nano', 'other'], stages: 0 });
    const models = [modelInfo(), modelInfo({ id: 'other', fingerprint: 'f2' })];
    cluster.start('a', { memoryBytes: 3e6, models });
    expect(cluster.pipelines).toEqual({ READY: ['nano-1-1'] });
    const { deployments, nodes } = viewCluster(cluster.state, cluster.now);
    expect(deployments[1]!.waitingFor).toContain('other needs');
    expect(nodes[0]!.usedBytes).toBeLessThanOrEqual(3e6 * 0.85);
    cluster.start('b', { models });
    expect(cluster.pipelines).toEqual({ READY: ['nano-1-1', 'other-1-2'] });
  });

  it('reports a broken stage only once per pipeline', () => {
    const cluster = clusterOf(2, 'a', 'b');
    cluster.node('a').running = false;
    cluster.node('b').running = false;
    cluster.report('b', 'nano-1-1', SHARD_STATE_BROKEN);
    cluster.report('a', 'nano-1-1', SHARD_STATE_BROKEN);
    expect(cluster.changes.filter(({ event }) => event === 'pipeline_broken')).toHaveLength(1);
    expect(cluster.commandKinds).toEqual(['create', 'load', 'unload', 'unload']);
  });
});
