import { describe, expect, it } from 'vitest';
import { usedBytes } from './cluster-state';
import { viewCluster } from './cluster-view';
import { explainPlan } from './explain-plan';
import { MEMORY_HEADROOM } from './memory-ledger';
import { routes } from './routes';
import { modelInfo, SimulatedCluster } from './simulated-cluster.fixture';

const clusterOf = (memories: Record<string, number>, models = [modelInfo()]): SimulatedCluster => {
  const cluster = new SimulatedCluster({ models: [], stages: 0 });
  for (const [id, memoryBytes] of Object.entries(memories)) cluster.start(id, { memoryBytes, models });
  return cluster;
};
const routed = (cluster: SimulatedCluster) => routes(cluster.state).routes.map(({ pipeline }) => pipeline!.id);
const nodesOf = (cluster: SimulatedCluster, id: string) =>
  cluster.state.pipelines.get(id)!.spec.stages.map(({ nodeId }) => nodeId);
const placements = (cluster: SimulatedCluster) => routed(cluster).map((id) => nodesOf(cluster, id).join());
const waitingFor = (cluster: SimulatedCluster) => viewCluster(cluster.state, cluster.now).deployments[0]!.waitingFor;

describe('replicas', () => {
  it('go to different nodes, and share one only when there is no other', () => {
    const cluster = clusterOf({ a: 1e9, b: 1e9 });
    cluster.deploy({ replicas: 2 });
    expect(placements(cluster)).toEqual(['a', 'b']);
    cluster.deploy({ replicas: 3 });
    expect(placements(cluster).sort()).toEqual(['a', 'a', 'b']);
  });

  it('take no more memory than there is, and the rest follows when a node comes', () => {
    const cluster = clusterOf({ a: 3e6 });
    cluster.deploy({ replicas: 4 });
    expect(placements(cluster)).toEqual(['a']);
    const [first, second] = explainPlan(cluster.state);
    expect(first).toMatchObject({ pipelineId: 'nano-1-1', replica: 1, replicas: 4 });
    expect(second).toMatchObject({
      pipelineId: '',
      replica: 2,
      reason: expect.stringContaining('nano needs') as string,
    });
    for (const id of ['b', 'c', 'd', 'e']) cluster.start(id, { memoryBytes: 3e6 });
    expect(placements(cluster).sort()).toEqual(['a', 'b', 'c', 'd']);
    for (const node of cluster.state.nodes.values()) {
      expect(usedBytes(cluster.state, node)).toBeLessThanOrEqual(node.memoryBytes * MEMORY_HEADROOM);
    }
  });

  it('do not keep another model from its first one', () => {
    const models = [modelInfo(), modelInfo({ id: 'other', fingerprint: 'f2' })];
    const cluster = clusterOf({}, models);
    cluster.deploy({ replicas: 5 });
    cluster.deploy({ modelId: 'other' });
    for (const id of ['a', 'b']) cluster.start(id, { memoryBytes: 3e6, models });
    expect(routes(cluster.state).routes.map(({ pipeline }) => pipeline!.modelId)).toEqual(['nano', 'other']);
  });

  it('are repaired one by one, while the others serve', () => {
    const cluster = clusterOf({ a: 1e9, b: 1e9, c: 1e9 });
    cluster.deploy({ replicas: 2 });
    cluster.pass(20_000);
    const commands = cluster.commands.length;
    cluster.crash('a');
    expect(placements(cluster).sort()).toEqual(['b', 'c']);
    expect(cluster.commands.slice(commands).map(({ kind }) => kind)).toEqual(['remove', 'create', 'load']);
  });

  it('become fewer, the youngest first, after what runs on them', () => {
    const cluster = clusterOf({ a: 1e9, b: 1e9, c: 1e9 });
    cluster.deploy({ replicas: 3 });
    cluster.deploy({ replicas: 1 });
    expect(cluster.pipelines).toEqual({ READY: ['nano-1-1'], DRAINING: ['nano-1-2', 'nano-1-3'] });
    cluster.pass(5_000);
    expect(cluster.pipelines).toEqual({ READY: ['nano-1-1'] });
  });

  it('are replaced one after the other when they are wanted otherwise, with as many serving as are wanted', () => {
    const cluster = clusterOf({ a: 1e9, b: 1e9 });
    cluster.deploy({ replicas: 2 });
    cluster.changes.length = 0;
    cluster.deploy({ replicas: 2, contextLength: 100 });
    expect(cluster.pipelines).toEqual({ DRAINING: ['nano-1-1', 'nano-1-2'], READY: ['nano-1-3', 'nano-1-4'] });
    expect(cluster.changes.map(({ event }) => event).filter((event) => /ready|draining/.test(event))).toEqual(
      Array(2).fill(['pipeline_ready', 'pipeline_draining']).flat(),
    );
  });

  it('survive a hub restart untouched', () => {
    const cluster = clusterOf({ a: 1e9, b: 1e9 });
    cluster.deploy({ replicas: 2 });
    cluster.pass(20_000);
    cluster.restartHub();
    for (const id of ['a', 'b']) cluster.register(id);
    cluster.pass(60_000);
    expect(cluster.commands).toEqual([]);
    expect(placements(cluster)).toEqual(['a', 'b']);
  });
});

describe('pins', () => {
  const pin = (nodeId: string, from: number, to: number) => ({ nodeId, layers: { from, to } });
  const pins = [pin('c', 0, 1), pin('a', 1, 6)];

  it('are honoured exactly, in every replica', () => {
    const cluster = clusterOf({ a: 1e9, b: 1e9, c: 1e9 });
    cluster.deploy({ replicas: 2, pins });
    for (const id of routed(cluster)) {
      expect(cluster.state.pipelines.get(id)!.spec.stages).toMatchObject(pins);
    }
    expect(explainPlan(cluster.state)).toMatchObject([{ pinned: true }, { pinned: true }]);
    expect(explainPlan(cluster.state)[0]!.leftOut).toEqual([{ nodeId: 'b', reason: 'the pins do not name it' }]);
  });

  it('move a pipeline that is elsewhere', () => {
    const cluster = clusterOf({ a: 1e9, b: 1e9, c: 1e9 });
    cluster.deploy();
    expect(placements(cluster)).toEqual(['a']);
    cluster.deploy({ pins });
    expect(placements(cluster)).toEqual(['c,a']);
  });

  it.each<[string, Record<string, number>, RegExp]>([
    ['a node is missing', { a: 1e9 }, /^no such node is available: c=0-0$/],
    ['memory is short', { a: 1e6, c: 1e9 }, /^a=1-5 needs \d\.\d MB or more, 0\.8 MB are free there \(1 sequences of/],
  ])('that cannot be honoured are not planned around: %s', (_case, memories, reason) => {
    const cluster = clusterOf({ ...memories, b: 1e9 });
    cluster.deploy({ pins });
    expect(cluster.pipelines).toEqual({});
    expect(waitingFor(cluster)).toMatch(reason);
  });

  it('name a drained node: it is drained', () => {
    const cluster = clusterOf({ a: 1e9, b: 1e9, c: 1e9 });
    cluster.setDrained('c', true);
    cluster.deploy({ pins });
    expect(waitingFor(cluster)).toBe('no such node is available: c=0-0; c is drained');
  });

  it('do not cover the model', () => {
    const cluster = clusterOf({ a: 1e9, c: 1e9 });
    cluster.deploy({ pins: [pin('a', 0, 5)] });
    expect(waitingFor(cluster)).toBe('pins cover 5 layers, nano has 6');
  });
});

describe('context and sequences', () => {
  it.each([
    [{ contextLength: 200, maxSequences: 3 }, 1e9],
    [{ contextLength: 256 }, 1e9],
    [{ maxSequences: 20 }, 1e9],
  ])('%j are honoured exactly', (wanted, memoryBytes) => {
    const cluster = clusterOf({ a: memoryBytes });
    cluster.deploy(wanted);
    expect(cluster.state.pipelines.get('nano-1-1')!.spec).toMatchObject(wanted);
  });

  it.each<[object, number, RegExp]>([
    [{ maxSequences: 50 }, 3e6, /^nano needs .* or more \(50 sequences of 256 tokens\); 1 nodes offer/],
    [{ contextLength: 300 }, 1e9, /^nano was trained for 256 tokens, fewer than the 300 that are wanted$/],
  ])('%j cannot be had: it says why', (wanted, memoryBytes, reason) => {
    const cluster = clusterOf({ a: memoryBytes });
    cluster.deploy(wanted);
    expect(cluster.pipelines).toEqual({});
    expect(waitingFor(cluster)).toMatch(reason);
  });
});
