import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DEFAULT_DRAIN_MS } from './cluster-state';
import { MIN_IDLE_MS, REQUEST_PATIENCE_MS } from './make-room';
import { viewModels } from './model-view';
import { DRAIN_SETTLE_MS } from './plan';
import { modelInfo, SimulatedCluster } from './simulated-cluster.fixture';

const MODELS = ['a', 'b', 'c'].map((id) => modelInfo({ id, fingerprint: `weights of ${id}` }));
/** Room for as many of these models and no more, at the sequences and the context that they get when there is room. */
const ROOM = { one: 6e6, two: 11.3e6 };
/** For a drained pipeline to be unloaded. */
const DRAINED_MS = DRAIN_SETTLE_MS + 10_000;

const clusterWith = (memoryBytes: number, wanted: string[] = []): SimulatedCluster => {
  const cluster = new SimulatedCluster({ models: wanted, stages: 0 });
  cluster.start('node', { models: MODELS, memoryBytes });
  return cluster;
};
const statesOf = (cluster: SimulatedCluster) =>
  Object.fromEntries(viewModels(cluster.state, cluster.now).map(({ id, state }) => [id, state]));
const pipelineOf = (cluster: SimulatedCluster, modelId: string) =>
  [...cluster.state.pipelines.values()].find(({ spec }) => spec.modelId === modelId)!.spec.id;
const use = (cluster: SimulatedCluster, modelId: string) =>
  cluster.usedAt.set(pipelineOf(cluster, modelId), cluster.now);
/** A client waits for so long, or until it is served. */
const waitFor = (cluster: SimulatedCluster, modelId: string, milliseconds: number) => {
  for (const end = cluster.now + milliseconds; cluster.now < end; cluster.pass(1_000)) {
    cluster.request(modelId);
    if (statesOf(cluster)[modelId] === 'READY') return;
  }
};

describe('a model that a client asks for', () => {
  it('is loaded when there is room, and says who wanted it', () => {
    const cluster = clusterWith(ROOM.two);
    expect(statesOf(cluster)).toEqual({ a: 'NOT_LOADED', b: 'NOT_LOADED', c: 'NOT_LOADED' });
    cluster.request('a');
    expect(viewModels(cluster.state, cluster.now)[0]).toMatchObject({ id: 'a', state: 'READY', origin: 'REQUEST' });
  });

  it('takes the place of the one that was used least recently', () => {
    const cluster = clusterWith(ROOM.two);
    for (const id of ['a', 'b']) cluster.request(id);
    cluster.pass(20_000);
    use(cluster, 'a');
    cluster.pass(20_000);
    waitFor(cluster, 'c', DRAINED_MS);
    expect(statesOf(cluster)).toEqual({ a: 'READY', b: 'NOT_LOADED', c: 'READY' });
    expect(cluster.changes).toContainEqual({ event: 'model_withdrawn', modelId: 'b', reason: 'makes room for c' });
  });

  it('waits for a model that has a sequence, however long that runs, and takes its place once it is idle', () => {
    const cluster = clusterWith(ROOM.one);
    cluster.request('a');
    const pipelineId = pipelineOf(cluster, 'a');
    cluster.busy.add(pipelineId);
    cluster.pass(20_000);
    waitFor(cluster, 'b', 300_000);
    expect(statesOf(cluster)).toMatchObject({ a: 'READY', b: 'WAITING' });
    cluster.busy.delete(pipelineId);
    cluster.usedAt.set(pipelineId, cluster.now);
    waitFor(cluster, 'b', MIN_IDLE_MS - 1_000);
    expect(statesOf(cluster)).toMatchObject({ a: 'READY', b: 'WAITING' });
    waitFor(cluster, 'b', DRAINED_MS);
    expect(statesOf(cluster)).toMatchObject({ a: 'NOT_LOADED', b: 'READY' });
  });

  it('lets a sequence that begins on a model which makes room come to its end', () => {
    const cluster = clusterWith(ROOM.one);
    cluster.request('a');
    cluster.pass(20_000);
    const pipelineId = pipelineOf(cluster, 'a');
    cluster.request('b');
    expect(cluster.pipelines).toEqual({ DRAINING: [pipelineId] });
    cluster.busy.add(pipelineId);
    waitFor(cluster, 'b', 60_000);
    expect(cluster.pipelines).toEqual({ DRAINING: [pipelineId] });
    cluster.busy.delete(pipelineId);
    waitFor(cluster, 'b', DRAINED_MS);
    expect(statesOf(cluster)).toMatchObject({ a: 'NOT_LOADED', b: 'READY' });
  });

  it.each([
    ['of HUB_MODELS', (cluster: SimulatedCluster) => cluster],
    ['that an operator loaded', (cluster: SimulatedCluster) => cluster.deploy({ modelId: 'a' })],
  ])('never takes the place of a model %s', (_, load) => {
    const cluster = clusterWith(ROOM.one, ['a']);
    load(cluster);
    cluster.pass(60_000);
    waitFor(cluster, 'b', 30_000);
    expect(statesOf(cluster)).toMatchObject({ a: 'READY', b: 'WAITING' });
    const [, b] = viewModels(cluster.state, cluster.now);
    expect(b?.waitingFor).toMatch(/^b needs .* MB or more/);
  });

  it('is withdrawn when it found no place and nobody waits any more', () => {
    const cluster = clusterWith(ROOM.one, ['a']);
    cluster.request('b');
    cluster.pass(REQUEST_PATIENCE_MS);
    expect(statesOf(cluster).b).toBe('WAITING');
    cluster.pass(10_000);
    expect(statesOf(cluster).b).toBe('NOT_LOADED');
  });

  it.each([
    ['dies', (cluster: SimulatedCluster) => cluster.crash('node')],
    ['is told to stop', (cluster: SimulatedCluster) => cluster.leave('node')],
  ])('is still wanted when its only node %s long after it was asked for, and serves when that is back', (_, end) => {
    const cluster = clusterWith(ROOM.one);
    cluster.request('a');
    cluster.pass(600_000);
    end(cluster);
    expect(statesOf(cluster).a).toBe('WAITING');
    cluster.pass(REQUEST_PATIENCE_MS - 10_000);
    expect(statesOf(cluster).a).toBe('WAITING');
    cluster.start('node');
    cluster.pass(10_000);
    expect(statesOf(cluster).a).toBe('READY');
  });

  it('does not drive away models whose memory would not be enough', () => {
    const cluster = clusterWith(ROOM.two);
    cluster.request('a');
    cluster.pass(20_000);
    const huge = modelInfo({ id: 'huge', fingerprint: 'huge', layerBytes: Array<number>(6).fill(2e6) });
    cluster.start('other', { models: [huge], memoryBytes: 1e6 });
    waitFor(cluster, 'huge', 30_000);
    expect(statesOf(cluster)).toMatchObject({ a: 'READY', huge: 'WAITING' });
  });

  it('stays loaded when the hub restarts, and still makes room after that', () => {
    const cluster = clusterWith(ROOM.one);
    cluster.request('a');
    cluster.pass(5_000);
    cluster.restartHub();
    expect(statesOf(cluster)).toEqual({ a: 'READY' });
    cluster.register('node');
    cluster.pass(20_000);
    waitFor(cluster, 'b', DRAINED_MS);
    expect(statesOf(cluster)).toMatchObject({ a: 'NOT_LOADED', b: 'READY' });
  });
});

describe('a model that an operator unloads', () => {
  it('stays unloaded over a restart although it is in HUB_MODELS, until a client asks; then it makes room like others', () => {
    const cluster = clusterWith(ROOM.one, ['a']);
    cluster.pass(20_000);
    cluster.undeploy('a');
    cluster.pass(DRAINED_MS);
    cluster.restartHub();
    cluster.register('node');
    cluster.pass(20_000);
    expect(statesOf(cluster).a).toBe('NOT_LOADED');
    cluster.request('a');
    cluster.pass(20_000);
    waitFor(cluster, 'b', DRAINED_MS);
    expect(statesOf(cluster)).toMatchObject({ a: 'NOT_LOADED', b: 'READY' });
    cluster.restartHub();
    cluster.register('node');
    expect(statesOf(cluster)).toMatchObject({ a: 'NOT_LOADED', b: 'READY' });
  });
});

describe('whatever clients and operators do', () => {
  const arbitraryStep = fc.tuple(
    fc.constantFrom('request', 'request', 'begin', 'begin', 'end', 'load', 'unload'),
    fc.constantFrom('a', 'b', 'c'),
    fc.integer({ min: 500, max: 20_000 }),
  );

  const take = (cluster: SimulatedCluster, step: string, modelId: string) => {
    const ready = [...cluster.state.pipelines.values()].filter(({ state }) => state === 'READY');
    const serving = ready.find(({ spec }) => spec.modelId === modelId)?.spec.id;
    if (step === 'request') cluster.request(modelId);
    if (step === 'load') cluster.deploy({ modelId });
    if (step === 'unload') cluster.undeploy(modelId);
    if (serving === undefined) return;
    if (step === 'begin') cluster.busy.add(serving);
    if (step === 'end' && cluster.busy.delete(serving)) cluster.usedAt.set(serving, cluster.now);
  };

  it('a sequence is cut only when it outlives its drain, and in the end a model is served that a client waits for', () => {
    let busyAtAll = 0;
    fc.assert(
      fc.property(
        fc.array(arbitraryStep, { maxLength: 40, size: 'max' }),
        fc.constantFrom(...Object.values(ROOM)),
        (steps, memory) => {
          const cluster = clusterWith(memory);
          const drainingSince = new Map<string, number>();
          for (const [step, modelId, milliseconds] of steps) {
            take(cluster, step, modelId);
            for (const { spec, state, since } of cluster.state.pipelines.values()) {
              if (state === 'DRAINING') drainingSince.set(spec.id, since);
            }
            cluster.pass(milliseconds);
            for (const pipelineId of cluster.busy) {
              busyAtAll += 1;
              if (cluster.node('node').shards.has(pipelineId)) continue;
              expect(cluster.now - (drainingSince.get(pipelineId) ?? cluster.now)).toBeGreaterThan(DEFAULT_DRAIN_MS);
              cluster.busy.delete(pipelineId);
            }
          }
          cluster.busy.clear();
          for (const id of ['a', 'b']) cluster.undeploy(id);
          waitFor(cluster, 'c', 60_000);
          expect(statesOf(cluster).c).toBe('READY');
        },
      ),
      { numRuns: 60 },
    );
    expect(busyAtAll).toBeGreaterThan(50);
  });
});
