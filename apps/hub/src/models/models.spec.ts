import { ShardState, type LoadModelRequest } from '@pangalactic/contracts';
import { STATE_REPOSITORY } from '@pangalactic/state';
import { afterEach, describe, expect, it } from 'vitest';
import {
  closeAll,
  DEADLINE,
  NANO,
  PlayedNode,
  severableRepository,
  startHub,
  untilCluster,
  watchRoutes,
  type SpecHub,
} from '../hub.fixture';

afterEach(closeAll);

const waits = { timeout: 10_000, interval: 20 };
const NOTHING_CONFIGURED = { HUB_MODELS: 'something-else', HUB_PIPELINE_STAGES: '0' };

const load = async (hub: SpecHub, request: Partial<LoadModelRequest> = {}) =>
  (await hub.client.loadModel({ modelId: 'nano', onRequest: false, pins: [], ...request }, DEADLINE)).model;
const unload = async (hub: SpecHub, modelId = 'nano') => (await hub.client.unloadModel({ modelId }, DEADLINE)).model;
const list = async (hub: SpecHub) => (await hub.client.listModels({}, DEADLINE)).models;

async function startWithNode(environment: Record<string, string> = {}, sqlitePath?: string) {
  const hub = await startHub({
    environment: { ...NOTHING_CONFIGURED, ...environment },
    ...(sqlitePath && { sqlitePath }),
  });
  const node = await PlayedNode.join(hub, 'a');
  await untilCluster(hub, ({ nodes }) => nodes[0]?.state === 'CONNECTED');
  return { hub, node };
}

describe('a model that nodes hold', () => {
  it('is loaded for an operator, stays loaded when the hub restarts, and unloaded when it does again', async () => {
    const { hub, node } = await startWithNode();
    expect(await list(hub)).toMatchObject([
      { id: 'nano', state: 'NOT_LOADED', versions: [{ nodeIds: ['a'], layers: 6 }] },
    ]);
    expect(await load(hub)).toMatchObject({ state: 'LOADING', progress: 0, origin: 'OPERATOR' });
    const { pipeline } = await node.next('load');
    await node.report(pipeline!.id, ShardState.SHARD_STATE_READY);
    await expect.poll(() => list(hub), waits).toMatchObject([{ state: 'READY', progress: 1, contextLength: 256 }]);
    await hub.close();

    const second = await startWithNode({}, hub.sqlitePath);
    // Its node came back without the shard.
    await second.node.next('load');
    expect(await unload(second.hub)).toMatchObject({ origin: '' });
    await second.node.next('unload');
    expect(await unload(second.hub)).toMatchObject({ id: 'nano' });
    await second.hub.close();

    const third = await startWithNode({}, hub.sqlitePath);
    expect(await list(third.hub)).toMatchObject([{ id: 'nano', origin: '' }]);
    expect(third.node.count('load')).toBe(0);
  });

  it('may have any name that a file can have', async () => {
    const modelId = 'Mein Modell (7B) ü%20\u{1F600}';
    const inventory = { models: [{ ...NANO, id: modelId }], rejected: [] };
    const hub = await startHub({ environment: NOTHING_CONFIGURED });
    const node = await PlayedNode.join(hub, 'a', { inventory });
    await untilCluster(hub, ({ nodes }) => nodes[0]?.state === 'CONNECTED');
    expect(await load(hub, { modelId })).toMatchObject({ id: modelId, state: 'LOADING' });
    const { pipeline } = await node.next('load');
    await node.report(pipeline!.id, ShardState.SHARD_STATE_READY);
    await expect.poll(() => list(hub), waits).toMatchObject([{ id: modelId, state: 'READY' }]);
    await hub.close();
    const { client } = await startHub({ environment: NOTHING_CONFIGURED, sqlitePath: hub.sqlitePath });
    expect((await client.getCluster({}, DEADLINE)).pipelines).toMatchObject([{ pipeline: { id: pipeline!.id } }]);
  });

  it('is advertised to gateways and loaded on request', async () => {
    const { hub, node } = await startWithNode();
    const { tables } = watchRoutes(hub);
    const summary = { id: 'nano', contextLength: 256 };
    await expect.poll(() => tables.at(-1)?.models, waits).toEqual([{ ...summary, state: 'NOT_LOADED', origin: '' }]);
    expect(await load(hub, { onRequest: true })).toMatchObject({ state: 'LOADING', origin: 'REQUEST' });
    const { pipeline } = await node.next('load');
    for (const progress of [0.25, 0.5, 0.75]) {
      await node.report(pipeline!.id, ShardState.SHARD_STATE_LOADING, { progress });
    }
    await expect.poll(() => load(hub, { onRequest: true }), waits).toMatchObject({ progress: 0.75 });
    const statesTold = tables.flatMap(({ models }) => models.map(({ state }) => state));
    expect(statesTold).toEqual(['NOT_LOADED', 'LOADING']);
    await node.report(pipeline!.id, ShardState.SHARD_STATE_READY);
    await expect.poll(() => tables.at(-1)?.models[0]?.state, waits).toBe('READY');
  });

  it('is not loaded on request when HUB_AUTOLOAD is off; what is loaded already is told', async () => {
    const { hub } = await startWithNode({ HUB_AUTOLOAD: 'false' });
    await expect(load(hub, { onRequest: true })).rejects.toMatchObject({ code: 'model_not_found' });
    await load(hub);
    expect(await load(hub, { onRequest: true })).toMatchObject({ state: 'LOADING', origin: 'OPERATOR' });
  });

  it('that serves and is wanted otherwise tells how far the load of the new wish is', async () => {
    const { hub, node } = await startWithNode();
    await load(hub);
    const first = await node.next('load');
    await node.report(first.pipeline!.id, ShardState.SHARD_STATE_READY);
    await expect.poll(() => list(hub), waits).toMatchObject([{ state: 'READY', wantedState: 'READY' }]);
    const answer = await load(hub, { contextLength: 128 });
    expect(answer).toMatchObject({ state: 'READY', wantedState: 'LOADING' });
    const { pipeline } = answer!.pipelines.find(({ state }) => state === 'LOADING')!;
    await node.report(pipeline!.id, ShardState.SHARD_STATE_LOADING, { progress: 0.5 });
    const loading = { state: 'READY', wantedState: 'LOADING', progress: 0.5 };
    await expect.poll(() => list(hub), waits).toMatchObject([loading]);
    await node.report(pipeline!.id, ShardState.SHARD_STATE_READY);
    await expect.poll(() => list(hub), waits).toMatchObject([{ state: 'READY', wantedState: 'READY', progress: 1 }]);
  });

  it('is loaded in as many stages as HUB_PIPELINE_STAGES says, or the wish', async () => {
    const { hub } = await startWithNode({ HUB_PIPELINE_STAGES: '2' });
    expect(await load(hub)).toMatchObject({
      state: 'WAITING',
      waitingFor: expect.stringContaining('2 stages need 2') as string,
    });
    expect(await load(hub, { stages: 1, contextLength: 128, maxSequences: 2 })).toMatchObject({
      state: 'LOADING',
      contextLength: 128,
      pipelines: [{ pipeline: { maxSequences: 2 } }],
    });
  });
});

describe('a wish about a model', () => {
  it.each<[string, Partial<LoadModelRequest>, string, string]>([
    ['nobody has', { modelId: 'ghost' }, 'model_not_found', 'no connected node has ghost; they have nano'],
    ['nobody has, on request', { modelId: 'ghost', onRequest: true }, 'model_not_found', 'they have nano'],
    ['has too few layers', { stages: 7 }, 'invalid_request', '7 stages: allowed'],
    [
      'is pinned to a node of an endless name',
      { pins: [{ nodeId: 'a'.repeat(300_000), layers: { from: 0, to: 6 } }] },
      'invalid_request',
      'allowed: 1 to 253 characters',
    ],
    ['gets no context', { contextLength: 0 }, 'invalid_request', 'contextLength 0: allowed'],
    [
      'is pinned in part',
      { pins: [{ nodeId: 'a', layers: { from: 0, to: 3 } }] },
      'invalid_request',
      'pins cover 3 layers: allowed: exactly the 6',
    ],
  ])('is refused that %s', async (_, request, code, message) => {
    const { hub } = await startWithNode();
    await expect(load(hub, request)).rejects.toMatchObject({
      code,
      message: expect.stringContaining(message) as string,
    });
  });

  it('is refused to unload what nobody has, and names a file that cannot be served', async () => {
    const hub = await startHub();
    await expect(unload(hub, 'ghost')).rejects.toMatchObject({
      code: 'model_not_found',
      message: 'no node is connected',
    });
    const rejected = [{ file: '/models/ghost/x.gguf', reason: 'tensor type Q3_K' }];
    await PlayedNode.join(hub, 'a', { inventory: { models: [NANO], rejected } });
    await untilCluster(hub, ({ nodes }) => nodes.length === 1);
    await expect(load(hub, { modelId: 'ghost' })).rejects.toMatchObject({
      message: 'no connected node has ghost; they have nano; a rejects /models/ghost/x.gguf: tensor type Q3_K',
    });
  });

  it('takes effect also when its caller cancels or runs out of time, and a bounded number of them waits', async () => {
    const { repository, sever } = await severableRepository();
    const providers = [{ provide: STATE_REPOSITORY, useValue: repository }];
    const hub = await startHub({ environment: NOTHING_CONFIGURED, providers });
    const other = { ...NANO, id: 'other', fingerprint: 'f2' };
    await PlayedNode.join(hub, 'a', { inventory: { models: [NANO, other], rejected: [] } });
    await untilCluster(hub, ({ nodes }) => nodes[0]?.state === 'CONNECTED');
    sever(true);
    const leaving = new AbortController();
    const request = { onRequest: false, pins: [] };
    const cancelled = hub.client.loadModel({ modelId: 'nano', ...request }, { ...DEADLINE, signal: leaving.signal });
    const late = hub.client.loadModel({ modelId: 'other', ...request }, { deadlineMs: 200 });
    await expect(late).rejects.toMatchObject({ code: 'deadline_exceeded' });
    leaving.abort();
    await expect(cancelled).rejects.toMatchObject({ code: 'cancelled' });

    const waiting = Array.from({ length: 62 }, () => load(hub));
    await expect(load(hub)).rejects.toMatchObject({ code: 'queue_full' });
    sever(false);
    await Promise.all(waiting);
    expect(await list(hub)).toMatchObject([{ origin: 'OPERATOR' }, { origin: 'OPERATOR' }]);

    sever(true);
    const lateUnload = hub.client.unloadModel({ modelId: 'nano' }, { deadlineMs: 200 });
    await expect(lateUnload).rejects.toMatchObject({ code: 'deadline_exceeded' });
    const leavingAgain = new AbortController();
    const unloadOptions = { ...DEADLINE, signal: leavingAgain.signal };
    const cancelledUnload = hub.client.unloadModel({ modelId: 'other' }, unloadOptions);
    setTimeout(() => leavingAgain.abort(), 50);
    await expect(cancelledUnload).rejects.toMatchObject({ code: 'cancelled' });
    sever(false);
    await expect.poll(() => list(hub), waits).toMatchObject([{ origin: '' }, { origin: '' }]);
  });

  it('is answered with the models, also after callers that cancel or run out of time', async () => {
    const { hub } = await startWithNode();
    await expect(hub.client.listModels({}, { deadlineMs: 0 })).rejects.toMatchObject({ code: 'deadline_exceeded' });
    const leaving = new AbortController();
    const cancelled = hub.client.listModels({}, { ...DEADLINE, signal: leaving.signal });
    leaving.abort();
    await expect(cancelled).rejects.toMatchObject({ code: 'cancelled' });
    expect(await list(hub)).toHaveLength(1);
  });
});
