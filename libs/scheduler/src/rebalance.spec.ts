import { describe, expect, it } from 'vitest';
import { LASTING_MS, MOVE_EVERY_MS } from './rebalance';
import { routes } from './routes';
import { modelInfo, SimulatedCluster } from './simulated-cluster.fixture';

const ROOMY = 1e9;
/** Holds one of two stages of the model, not two. */
const TIGHT = 2.3e6;

/** Nodes by what a decode step of whatever they hold takes them, in milliseconds. */
const clusterOf = (decodeMs: Record<string, number>, stages = 0, memoryBytes = ROOMY): SimulatedCluster => {
  const cluster = new SimulatedCluster({ models: ['nano'], stages });
  for (const [id, ms] of Object.entries(decodeMs)) join(cluster, id, ms, memoryBytes);
  return cluster;
};
const join = (cluster: SimulatedCluster, id: string, decodeMs: number, memoryBytes = ROOMY) => {
  cluster.start(id, { memoryBytes });
  cluster.node(id).decodeMs = decodeMs;
};
const serving = (cluster: SimulatedCluster) =>
  routes(cluster.state).routes.map(({ pipeline }) => pipeline!.stages.map(({ nodeId }) => nodeId).join(''));
const moves = (cluster: SimulatedCluster) => cluster.state.pipelinesPlanned - 1;
const A_MOVE = MOVE_EVERY_MS + LASTING_MS + 30_000;

describe('a healthy pipeline', () => {
  it('moves to a much faster node that joined, without a gap, and stays there', () => {
    const cluster = clusterOf({ a: 10 });
    cluster.pass(60_000);
    join(cluster, 'b', 2);
    cluster.changes.length = 0;
    cluster.pass(A_MOVE);
    expect(serving(cluster)).toEqual(['b']);
    const events = cluster.changes.map(({ event }) => event);
    expect(events).toEqual([
      ...['pipeline_planned', 'pipeline_loading', 'pipeline_ready', 'pipeline_draining', 'pipeline_gone'],
    ]);
    cluster.pass(3 * A_MOVE);
    expect([serving(cluster), moves(cluster)]).toEqual([['b'], 1]);
  });

  it('tries a node that nobody has measured once, and goes back to what it had when that is not faster', () => {
    const cluster = clusterOf({ a: 10, b: 10 });
    cluster.pass(5 * A_MOVE);
    expect([serving(cluster), moves(cluster)]).toEqual([['a'], 1]);
    expect(cluster.changes).toContainEqual(
      expect.objectContaining({ event: 'pipeline_draining', reason: 'is not faster than nano-1-1 after all' }),
    );
  });

  it('goes back to a node that is much faster than what it moved to', () => {
    const cluster = clusterOf({ a: 10, b: 2 });
    cluster.pass(A_MOVE);
    expect(serving(cluster)).toEqual(['b']);
    cluster.node('b').decodeMs = 40;
    cluster.pass(A_MOVE);
    expect(serving(cluster)).toEqual(['a']);
  });

  it.each<[string, number, number, string]>([
    ['not for a small gain', 10, 8, 'a'],
    ['for a large one', 10, 5, 'b'],
  ])('moves %s', (_case, a, b, expected) => {
    const cluster = clusterOf({ a: 1, b });
    cluster.pass(A_MOVE);
    // Both are measured now.
    cluster.node(serving(cluster)[0]!).decodeMs = a;
    cluster.pass(A_MOVE);
    expect([serving(cluster)[0], moves(cluster)]).toEqual([expected, expected === 'a' ? 1 : 2]);
  });

  it('gives a node that is faster more of the layers', () => {
    const cluster = clusterOf({ a: 3, b: 3, c: 3 }, 3);
    cluster.pass(60_000);
    join(cluster, 'd', 1);
    cluster.pass(A_MOVE);
    expect(serving(cluster)[0]).toContain('d');
  });

  it('does not move while memory for both is short', () => {
    const cluster = clusterOf({ a: 10 }, 2, TIGHT);
    join(cluster, 'b', 10, TIGHT);
    cluster.pass(60_000);
    join(cluster, 'c', 1, TIGHT);
    cluster.pass(2 * A_MOVE);
    expect([serving(cluster), moves(cluster)]).toEqual([['ab'], 0]);
  });

  it('T2: does not move for a control plane that flaps, nor soon after one', () => {
    const cluster = clusterOf({ a: 10 });
    cluster.pass(60_000);
    join(cluster, 'b', 1);
    for (let flap = 0; flap < 20; flap++) {
      cluster.pass(LASTING_MS / 2);
      for (const id of ['a', 'b']) cluster.disconnect(id);
      cluster.pass(15_000 / 2);
      cluster.observe({ kind: 'tick', at: (cluster.now += 8_000), beats: [] });
      for (const id of ['a', 'b']) cluster.register(id);
    }
    expect([serving(cluster), moves(cluster)]).toEqual([['a'], 0]);
  });

  it('does not move in the ten minutes after a hub has started, nor twice in ten minutes', () => {
    const cluster = clusterOf({ a: 10, b: 1 });
    cluster.restartHub();
    for (const id of ['a', 'b']) cluster.register(id);
    cluster.pass(MOVE_EVERY_MS - 5_000);
    expect(serving(cluster)).toEqual(['a']);
    cluster.pass(LASTING_MS);
    expect(serving(cluster)).toEqual(['b']);
    cluster.node('b').decodeMs = 1_000;
    cluster.pass(MOVE_EVERY_MS - LASTING_MS);
    expect(serving(cluster)).toEqual(['b']);
  });

  it('that is pinned never moves', () => {
    const cluster = clusterOf({ a: 10, b: 1 });
    cluster.deploy({ pins: [{ nodeId: 'a', layers: { from: 0, to: modelInfo().layers } }] });
    cluster.pass(2 * A_MOVE);
    expect(serving(cluster)).toEqual(['a']);
  });

  it('keeps its context and its sequences when it moves', () => {
    const cluster = clusterOf({ a: 10 });
    cluster.pass(60_000);
    join(cluster, 'b', 1, 1.5e6);
    cluster.pass(2 * A_MOVE);
    expect(serving(cluster)).toEqual(['a']);
  });

  it('is served on by its place when its successor cannot load', () => {
    const cluster = clusterOf({ a: 10, b: 1 });
    cluster.node('b').loadsFail = true;
    cluster.pass(2 * A_MOVE);
    expect(serving(cluster)).toEqual(['a']);
    expect(cluster.pipelines).toEqual({ READY: ['nano-1-1'] });
  });

  it('gives a successor up that is only tried when a model without a pipeline needs its memory', () => {
    const models = [modelInfo(), modelInfo({ id: 'other', fingerprint: 'f2' })];
    const cluster = new SimulatedCluster({ models: ['nano'], stages: 0 });
    for (const id of ['a', 'b']) cluster.start(id, { memoryBytes: 6e6, models });
    cluster.node('a').decodeMs = 10;
    // Nothing is known of its speed, so it is tried, and for a while the try has no result.
    cluster.node('b').decodeMs = 0;
    while (moves(cluster) === 0) cluster.pass(1_000);
    expect(cluster.state.pipelines.size).toBe(2);
    cluster.deploy({ modelId: 'other' });
    cluster.pass(20_000);
    expect(serving(cluster).sort()).toEqual(['a', 'b']);
    expect(routes(cluster.state).routes.map(({ pipeline }) => pipeline!.modelId)).toEqual(['nano', 'other']);
  });
});
