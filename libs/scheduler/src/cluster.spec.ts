import { type ActivationFormat, ShardState } from '@pangalactic/contracts';
import { describe, expect, it } from 'vitest';
import {
  clusterOf,
  HEARTBEAT_TIMEOUT_MS,
  nodesOf,
  routed,
  SimulatedCluster,
  stateOf,
  waitingFor,
} from './simulated-cluster.fixture';

const { SHARD_STATE_READY } = ShardState;

describe('a pipeline', () => {
  it('is planned, loaded on every stage and READY when its head says so', () => {
    const cluster = clusterOf(3, 'a', 'b');
    expect(waitingFor(cluster)).toBe('3 stages need 3 nodes with nano; 2 available (a, b)');
    cluster.start('c');
    expect(cluster.pipelines).toEqual({ READY: ['nano-1-1'] });
    expect(cluster.commandKinds).toEqual(['create', 'load']);
    expect(routed(cluster)).toEqual(['nano-1-1']);
    expect(waitingFor(cluster)).toBe('');
    expect(cluster.changes.map(({ event }) => event)).toEqual([
      'node_registered',
      'deployment_added',
      'node_registered',
      'node_registered',
      'pipeline_planned',
      'pipeline_loading',
      'pipeline_ready',
    ]);
  });

  it('lets hidden states travel in the most precise format of its nodes', () => {
    const cluster = new SimulatedCluster({ models: ['nano'], stages: 2 });
    const [f32, f16, int8] = [1, 2, 3] as ActivationFormat[];
    cluster.start('a', { activationFormat: int8 });
    cluster.start('b', { activationFormat: f16 });
    const formatOf = (id: string) => cluster.state.pipelines.get(id)!.spec.activationFormat;
    expect(formatOf('nano-1-1')).toBe(f16);
    cluster.start('c');
    cluster.kill('b');
    cluster.breakPipeline('nano-1-1', 'hop to b closed');
    expect(nodesOf(cluster, 'nano-1-2')).toEqual(['a', 'c']);
    expect(formatOf('nano-1-2')).toBe(f32);
  });

  it('keeps a bounded part of the reason that a stage gives for its end', () => {
    const cluster = clusterOf(1, 'a');
    cluster.breakPipeline('nano-1-1', 'x'.repeat(1_000_000));
    const [broken] = cluster.changes.filter(({ event }) => event === 'pipeline_broken');
    expect(broken?.reason).toHaveLength('stage 0 on a: '.length + 1_000);
  });

  it('T9: is not READY while only the stages behind the head are', () => {
    const cluster = clusterOf(2, 'a');
    cluster.node('a').running = false; // Connected, but it answers nothing.
    cluster.start('b');
    expect(cluster.pipelines).toEqual({ LOADING: ['nano-1-1'] });
    expect(nodesOf(cluster, 'nano-1-1')).toEqual(['a', 'b']);
    expect(waitingFor(cluster)).toBe('pipeline nano-1-1, LOADING: a REQUESTED 0 %, b READY 100 %');
    cluster.report('a', 'nano-1-1', SHARD_STATE_READY);
    expect(cluster.pipelines).toEqual({ READY: ['nano-1-1'] });
  });

  it('is repaired on the remaining nodes when a node dies, and the stages that are left are unloaded', () => {
    const cluster = clusterOf(2, 'a', 'b', 'c');
    expect(nodesOf(cluster, 'nano-1-1')).toEqual(['a', 'b']);
    cluster.pass(20_000);
    cluster.kill('b');
    expect(stateOf(cluster, 'b')).toBe('SUSPECT');
    expect(routed(cluster)).toEqual([]);
    expect(cluster.pipelines).toEqual({ READY: ['nano-1-1'] });
    cluster.breakPipeline('nano-1-1', 'hop to b closed');
    expect(cluster.pipelines).toEqual({ READY: ['nano-1-2'] });
    expect(nodesOf(cluster, 'nano-1-2')).toEqual(['a', 'c']);
    expect([...cluster.node('a').shards.keys()]).toEqual(['nano-1-2']);
    expect(cluster.changes).toContainEqual({
      event: 'pipeline_broken',
      pipelineId: 'nano-1-1',
      reason: 'stage 0 on a: hop to b closed',
    });
  });

  it('is BROKEN when a node is silent for longer than the timeout, and not before', () => {
    const cluster = clusterOf(2, 'a', 'b', 'c');
    cluster.pass(20_000);
    cluster.node('b').running = false;
    cluster.pass(HEARTBEAT_TIMEOUT_MS);
    expect(stateOf(cluster, 'b')).toBe('CONNECTED');
    cluster.pass(5_000);
    expect(stateOf(cluster, 'b')).toBe('FAILED');
    expect(cluster.changes).toContainEqual(
      expect.objectContaining({ event: 'pipeline_broken', reason: 'node b FAILED' }),
    );
    expect(nodesOf(cluster, 'nano-1-2')).toEqual(['a', 'c']);
  });

  it('waits for a node when there is no spare one, and says so', () => {
    const cluster = clusterOf(2, 'a', 'b');
    cluster.pass(20_000);
    cluster.kill('b');
    cluster.pass(20_000);
    expect(cluster.pipelines).toEqual({});
    expect(waitingFor(cluster)).toBe('2 stages need 2 nodes with nano; 1 available (a)');
    cluster.start('b');
    expect(cluster.pipelines).toEqual({ READY: ['nano-1-2'] });
  });

  it('gives up a load that shows no sign of life', () => {
    const stuck = clusterOf(2, 'a');
    stuck.node('a').running = false; // Hears the load, but never answers it; it beats on.
    stuck.start('b');
    stuck.node('a').running = true;
    stuck.pass(605_000);
    expect(stuck.changes).toContainEqual(
      expect.objectContaining({ event: 'pipeline_broken', reason: 'no stage made progress for 600 s' }),
    );
  });
});

describe('suspicion', () => {
  it('T2: takes routes away but moves no shard, and a node that comes back with its shard serves again', () => {
    const cluster = clusterOf(2, 'a', 'b', 'c');
    cluster.pass(20_000);
    cluster.disconnect('b');
    expect(stateOf(cluster, 'b')).toBe('RECONNECTING');
    expect(routed(cluster)).toEqual(['nano-1-1']);
    cluster.commands.length = 0;
    cluster.kill('b');
    expect(routed(cluster)).toEqual([]);
    cluster.pass(10_000);
    cluster.node('b').running = true;
    cluster.register('b');
    expect(routed(cluster)).toEqual(['nano-1-1']);
    expect(cluster.commands).toEqual([]);
  });

  it('moves a pipeline that does not serve yet', () => {
    const cluster = clusterOf(2, 'a');
    cluster.node('a').running = false;
    cluster.start('b');
    cluster.start('c');
    cluster.kill('a');
    expect(stateOf(cluster, 'a')).toBe('SUSPECT');
    cluster.pass(1_000);
    expect(cluster.pipelines).toEqual({ READY: ['nano-1-2'] });
    // b keeps the layers that it began to load.
    expect(nodesOf(cluster, 'nano-1-2')).toEqual(['c', 'b']);
  });

  it('is none when the process is known to be gone: what it served is replaced at once', () => {
    const cluster = clusterOf(1, 'a', 'b');
    expect(nodesOf(cluster, 'nano-1-1')).toEqual(['a']);
    cluster.pass(20_000);
    cluster.crash('a');
    expect(stateOf(cluster, 'a')).toBe('SUSPECT');
    expect(cluster.pipelines).toEqual({ READY: ['nano-1-2'] });
    expect(nodesOf(cluster, 'nano-1-2')).toEqual(['b']);
    cluster.node('a').shards.clear();
    cluster.node('a').running = true;
    cluster.register('a');
    expect(routed(cluster)).toEqual(['nano-1-2']);
  });

  it('ignores what an older session still says', () => {
    const cluster = clusterOf(1, 'a');
    const sessionId = cluster.node('a').sessionId;
    cluster.register('a');
    const before = cluster.state;
    cluster.observe({ kind: 'session_closed', at: cluster.now, nodeId: 'a', sessionId });
    cluster.observe({ kind: 'probe_failed', at: cluster.now, refused: true, nodeId: 'a', sessionId });
    expect(cluster.state).toEqual(before);
  });

  it('does not fall on the nodes when the hub itself was away', () => {
    const cluster = clusterOf(2, 'a', 'b');
    cluster.now += 60_000;
    cluster.observe({ kind: 'tick', at: cluster.now, beats: [] });
    expect(stateOf(cluster, 'a')).toBe('CONNECTED');
    expect(routed(cluster)).toEqual(['nano-1-1']);
  });
});

describe('a node that leaves', () => {
  it('takes its pipeline out of the routes, lets it finish and makes way for the next one', () => {
    const cluster = clusterOf(2, 'a', 'b', 'c');
    cluster.pass(20_000);
    cluster.leave('b');
    expect(cluster.pipelines).toEqual({ DRAINING: ['nano-1-1'], READY: ['nano-1-2'] });
    expect(routed(cluster)).toEqual(['nano-1-2']);
    expect(nodesOf(cluster, 'nano-1-2')).toEqual(['a', 'c']);
    expect([...cluster.node('a').shards.keys()]).toEqual(['nano-1-1', 'nano-1-2']);
    cluster.pass(5_000);
    expect(cluster.pipelines).toEqual({ READY: ['nano-1-2'] });
    expect([...cluster.node('a').shards.keys()]).toEqual(['nano-1-2']);
    const events = cluster.changes.filter(({ pipelineId }) => pipelineId === 'nano-1-1').map(({ event }) => event);
    expect(events.slice(-3)).toEqual(['pipeline_ready', 'pipeline_draining', 'pipeline_gone']);
    cluster.pass(100_000);
    expect(stateOf(cluster, 'b')).toBe('LEAVING');
    cluster.pass(20_000);
    expect(stateOf(cluster, 'b')).toBe('FAILED');
  });

  it('is waited for no longer than the grace time when its pipeline stays busy', () => {
    const cluster = clusterOf(2, 'a', 'b');
    cluster.pass(20_000);
    cluster.leave('a'); // The head: nobody else knows what still runs.
    cluster.pass(110_000);
    expect(cluster.pipelines).toEqual({ DRAINING: ['nano-1-1'] });
    cluster.pass(5_000);
    expect(cluster.pipelines).toEqual({});
    expect(cluster.node('b').shards.size).toBe(0);
  });

  it('is waited for as long as it says itself, and so is a pipeline with a node that says less', () => {
    const cluster = new SimulatedCluster({ models: ['nano'], stages: 2 });
    cluster.start('a', { drainTimeoutMs: 200_000 });
    cluster.start('b', { drainTimeoutMs: 30_000 });
    cluster.pass(20_000);
    cluster.leave('a');
    cluster.pass(30_000);
    expect(cluster.pipelines).toEqual({ DRAINING: ['nano-1-1'] });
    cluster.pass(5_000);
    expect(cluster.pipelines).toEqual({});
    cluster.pass(175_000);
    expect(stateOf(cluster, 'a')).toBe('LEAVING');
    cluster.pass(5_000);
    expect(stateOf(cluster, 'a')).toBe('FAILED');
  });

  it('does not keep a pipeline that has not begun to serve', () => {
    const cluster = clusterOf(2, 'a');
    cluster.node('a').running = false;
    cluster.start('b');
    cluster.leave('a');
    expect(cluster.changes).toContainEqual(
      expect.objectContaining({ event: 'pipeline_broken', reason: 'node a is LEAVING' }),
    );
  });
});

describe('a node that registers', () => {
  it('without a shard it should hold breaks the pipeline', () => {
    const cluster = clusterOf(2, 'a', 'b');
    cluster.pass(20_000);
    cluster.start('b');
    expect(cluster.changes).toContainEqual(
      expect.objectContaining({ event: 'pipeline_broken', reason: 'node b does not hold stage 1 any more' }),
    );
    expect(cluster.pipelines).toEqual({ READY: ['nano-1-2'] });
  });

  it('from another address breaks the pipelines that name the old one', () => {
    const cluster = clusterOf(1, 'a');
    cluster.pass(20_000);
    cluster.node('a').address = 'elsewhere:7200';
    cluster.register('a');
    expect(cluster.changes).toContainEqual(
      expect.objectContaining({ event: 'pipeline_broken', reason: 'node a moved from a:7200 to elsewhere:7200' }),
    );
    expect(cluster.pipelines).toEqual({ READY: ['nano-1-2'] });
  });

  it.each<[string, (cluster: SimulatedCluster, rename: () => void) => void]>([
    ['after its old session', (cluster, rename) => (cluster.disconnect('a'), rename())],
    ['before its old session is known to be over', (cluster, rename) => (rename(), cluster.disconnect('a'))],
    ['with a restarted hub', (cluster, rename) => (cluster.restartHub(), rename())],
  ])('under a new name, %s, leaves nothing to the old one', (_case, happens) => {
    const cluster = clusterOf(1, 'a');
    cluster.pass(20_000);
    happens(cluster, () => {
      cluster.node('a').running = false;
      cluster.start('b', { address: cluster.node('a').address });
    });
    expect([stateOf(cluster, 'a'), stateOf(cluster, 'b')]).toEqual(['FAILED', 'CONNECTED']);
    const [served] = routed(cluster);
    expect(nodesOf(cluster, served!)).toEqual(['b']);
    expect(cluster.pipelines).toEqual({ READY: [served] });
  });

  it('with shards of an unknown pipeline is told to unload them, once', () => {
    const cluster = clusterOf(2, 'a');
    cluster.node('a').shards.set('other-9-9', SHARD_STATE_READY);
    cluster.node('a').running = false;
    cluster.register('a');
    expect(cluster.commands).toMatchObject([{ kind: 'unload', nodeId: 'a', pipelineId: 'other-9-9' }]);
    cluster.pass(5_000);
    expect(cluster.commands).toHaveLength(1);
  });

  it('takes no new shard before it has freed the old one', () => {
    const cluster = clusterOf(1, 'a');
    cluster.pass(20_000);
    cluster.node('a').running = false; // Hears the unload, but is still busy.
    cluster.breakPipeline('nano-1-1');
    expect(cluster.pipelines).toEqual({ BROKEN: ['nano-1-1'] });
    expect(waitingFor(cluster)).toContain('a still unloads nano-1-1');
    cluster.node('a').running = true;
    cluster.report('a', 'nano-1-1', ShardState.SHARD_STATE_GONE);
    expect(cluster.pipelines).toEqual({ READY: ['nano-1-2'] });
  });

  it('is forgotten a day after it FAILED', () => {
    const cluster = clusterOf(2, 'a', 'b', 'c');
    cluster.kill('c');
    cluster.pass(20_000);
    expect(stateOf(cluster, 'c')).toBe('FAILED');
    cluster.now += 24 * 3_600_000 - 60_000;
    cluster.pass(1);
    expect(stateOf(cluster, 'c')).toBe('FAILED');
    cluster.pass(60_000);
    expect(stateOf(cluster, 'c')).toBeUndefined();
    expect(cluster.changes).toContainEqual({ event: 'node_forgotten', nodeId: 'c' });
  });
});

describe('a drained node', () => {
  it('hands its pipelines over without a gap when memory allows, and gets no other', () => {
    const cluster = clusterOf(2, 'a', 'b', 'c');
    cluster.setDrained('a', true);
    expect(cluster.pipelines).toEqual({ DRAINING: ['nano-1-1'], READY: ['nano-1-2'] });
    expect(nodesOf(cluster, 'nano-1-2')).toEqual(['b', 'c']);
    const events = cluster.changes.map(({ event }) => event);
    expect(events.indexOf('pipeline_draining')).toBeGreaterThan(events.lastIndexOf('pipeline_ready'));
    expect(events).toContain('node_drained');
    cluster.pass(5_000);
    expect(cluster.node('a').shards.size).toBe(0);
    cluster.kill('b');
    cluster.breakPipeline('nano-1-2');
    expect(waitingFor(cluster)).toBe('2 stages need 2 nodes with nano; 1 available (c); a is drained');
  });

  it('makes room first when there is no room for both', () => {
    const cluster = new SimulatedCluster({ models: ['nano'], stages: 2 });
    cluster.start('a', { memoryBytes: 2.3e6 });
    cluster.start('b', { memoryBytes: 2.3e6 });
    cluster.start('c', { memoryBytes: 2.3e6 });
    expect(nodesOf(cluster, 'nano-1-1')).toEqual(['a', 'b']);
    cluster.setDrained('a', true);
    expect(cluster.pipelines).toEqual({ DRAINING: ['nano-1-1'] });
    cluster.pass(5_000);
    // b keeps the layers that it has.
    expect(nodesOf(cluster, 'nano-1-2')).toEqual(['c', 'b']);
  });

  it('serves on while nothing can take its place', () => {
    const cluster = clusterOf(2, 'a', 'b');
    cluster.setDrained('a', true);
    cluster.pass(200_000);
    expect(routed(cluster)).toEqual(['nano-1-1']);
    cluster.start('c');
    expect(nodesOf(cluster, routed(cluster)[0]!)).toEqual(['b', 'c']);
  });

  it('stops a load that would use it', () => {
    const cluster = clusterOf(2, 'a');
    cluster.node('a').running = false; // Hears the load, but never answers it.
    cluster.start('b');
    cluster.setDrained('a', true);
    expect(cluster.pipelines.LOADING).toBeUndefined();
    cluster.start('c');
    expect(nodesOf(cluster, 'nano-1-2')).toEqual(['c', 'b']);
    expect(cluster.pipelines.READY).toEqual(['nano-1-2']);
    expect(cluster.state.deployments.get('nano')?.failures).toBe(0);
  });

  it('stays drained when it or the hub restarts, and for longer than a day, until it is uncordoned', () => {
    const cluster = clusterOf(1, 'a');
    cluster.setDrained('a', true);
    cluster.setDrained('a', true);
    cluster.restartHub();
    cluster.node('a').shards.clear();
    cluster.start('a');
    expect(cluster.pipelines).toEqual({});
    cluster.kill('a');
    cluster.pass(25 * 3_600_000);
    cluster.start('a');
    expect(waitingFor(cluster)).toContain('a is drained');
    cluster.setDrained('a', false);
    expect(routed(cluster)).toHaveLength(1);
    expect(cluster.changes.filter(({ event }) => event === 'node_drained')).toHaveLength(1);
  });

  it('keeps one pipeline when it is uncordoned while its successor loads', () => {
    const cluster = clusterOf(1, 'a', 'b');
    cluster.node('b').running = false;
    cluster.setDrained('a', true);
    expect(cluster.pipelines).toEqual({ READY: ['nano-1-1'], LOADING: ['nano-1-2'] });
    cluster.node('b').running = true;
    cluster.setDrained('a', false);
    cluster.pass(10_000);
    expect(cluster.pipelines).toEqual({ READY: ['nano-1-1'] });
    expect(cluster.node('b').shards.size).toBe(0);
  });

  it('is unknown: nothing happens', () => {
    const cluster = clusterOf(1, 'a');
    const before = cluster.state;
    cluster.setDrained('ghost', true);
    expect(cluster.state).toEqual(before);
  });
});

describe('a load that keeps failing', () => {
  it('is retried ever more slowly, up to a minute', () => {
    const cluster = new SimulatedCluster();
    cluster.start('a');
    cluster.pass(20_000);
    cluster.node('a').loadsFail = true;
    cluster.breakPipeline('nano-1-1');
    const attempts: number[] = [];
    for (let half = 0; half < 2 * 400; half++) {
      const before = cluster.state.pipelinesPlanned;
      cluster.now += 500;
      cluster.observe({
        kind: 'tick',
        at: cluster.now,
        beats: [{ nodeId: 'a', sessionId: cluster.node('a').sessionId, at: cluster.now, stageTimes: [], links: [] }],
      });
      if (cluster.state.pipelinesPlanned > before) attempts.push(cluster.now);
    }
    const waits = attempts.slice(1).map((at, index) => at - attempts[index]!);
    expect(waits).toEqual(
      [1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000, 60_000, 60_000, 60_000, 60_000].slice(
        0,
        waits.length,
      ),
    );
    expect(waits.length).toBeGreaterThan(7);
    expect(waitingFor(cluster)).toMatch(
      /^the next attempt in .* s; \d+ failed in a row, the last: stage 0 on a: no space left$/,
    );
  });

  it('starts afresh once a pipeline has served for a while', () => {
    const cluster = clusterOf(1, 'a');
    cluster.breakPipeline('nano-1-1');
    expect(cluster.state.deployments.get('nano')?.failures).toBe(1);
    expect(cluster.pipelines).toEqual({ READY: ['nano-1-2'] });
    cluster.breakPipeline('nano-1-2');
    expect(cluster.pipelines).toEqual({});
    cluster.pass(30_000);
    expect(cluster.pipelines).toEqual({ READY: ['nano-1-3'] });
    cluster.pass(15_000);
    cluster.breakPipeline('nano-1-3');
    expect(cluster.pipelines).toEqual({ READY: ['nano-1-4'] });
    expect(cluster.state.deployments.get('nano')?.failures).toBe(0);
  });
});

it('a pipeline that had served has a successor soon, however often that happens: streams wait for it', () => {
  const cluster = clusterOf(1, 'a');
  for (let breaks = 0; breaks < 10; breaks++) {
    const [serving] = cluster.pipelines.READY ?? [];
    cluster.breakPipeline(serving!);
    cluster.pass(3_000);
  }
  expect(cluster.pipelines).toEqual({ READY: ['nano-1-11'] });
});
