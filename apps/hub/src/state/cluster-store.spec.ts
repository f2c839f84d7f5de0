import { ActivationFormat } from '@pangalactic/contracts';
import { restoreCluster, type ClusterState, type Pipeline, type StoredDeployment } from '@pangalactic/scheduler';
import { SqliteStateRepository } from '@pangalactic/state';
import { afterEach, describe, expect, it } from 'vitest';
import { closeAll, NANO_DEPLOYMENT, newSqlitePath } from '../hub.fixture';
import { ClusterStore } from './cluster-store';

afterEach(closeAll);

const settings = { heartbeatTimeoutMs: 1_000, wanted: { models: ['nano'], stages: 0 } };

function pipeline(id: string): Pipeline {
  const stages = [{ nodeId: 'a', address: 'a:7200', layers: { from: 0, to: 6 }, memoryBytes: 10 }];
  const activationFormat = ActivationFormat.ACTIVATION_FORMAT_F16;
  const spec = { id, modelId: 'nano', fingerprint: 'f', stages, contextLength: 256, maxSequences: 8, activationFormat };
  return { spec, state: 'READY', since: 1.5, reason: '' };
}

const pinned: StoredDeployment = {
  ...{ modelId: 'pinned', replicas: 2, stages: 1, contextLength: 512, maxSequences: 4, origin: 'OPERATOR' },
  pins: [{ nodeId: 'n001', layers: { from: 0, to: 6 } }],
};

async function openStore() {
  const repository = await SqliteStateRepository.open(newSqlitePath());
  const store = new ClusterStore(repository);
  const { term } = await store.lead();
  const empty = restoreCluster({ nodes: [], deployments: [], pipelines: [] }, { ...settings, term }, 0);
  return { repository, store, empty };
}

describe('the stored cluster', () => {
  it('is what was saved, however much it is', async () => {
    const { repository, store, empty } = await openStore();
    const nodes = Array.from({ length: 250 }, (_, index) => ({
      id: `n${String(index).padStart(3, '0')}`,
      address: `n${index}:7200`,
      computeType: 'cpu',
      simulated: index % 2 === 0,
      memoryBytes: 1e9,
      version: '1',
      activationFormat: ActivationFormat.ACTIVATION_FORMAT_INT8,
      drainTimeoutMs: 5_000,
    }));
    const stored = {
      nodes,
      deployments: [NANO_DEPLOYMENT, pinned],
      pipelines: [pipeline('nano-1-1'), pipeline('nano-1-2')],
    };
    const full = restoreCluster(stored, { ...settings, term: empty.term }, 0);
    await store.save(empty, full);
    expect(await store.load()).toEqual(stored);
    expect((await repository.list('')).revision).toBe(3);
    await store.save(full, empty);
    expect(await store.load()).toEqual({ nodes: [], deployments: [], pipelines: [] });
    await store.close();
  });

  it('is written only where it changed', async () => {
    const { repository, store, empty } = await openStore();
    const node = { id: 'a', address: 'a:1', computeType: 'cpu', simulated: false, memoryBytes: 1, version: '1' };
    const before = restoreCluster(
      { nodes: [node], deployments: [], pipelines: [] },
      { ...settings, term: empty.term },
      0,
    );
    await store.save(empty, before);
    const beaten: ClusterState = {
      ...before,
      nodes: new Map([['a', { ...before.nodes.get('a')!, lastSeenAt: 99, state: 'FAILED' }]]),
    };
    await store.save(before, beaten);
    expect((await repository.list('')).revision).toBe(1);
    await store.close();
  });

  it('of a hub that knew the models alone has deployments with defaults', async () => {
    const { repository, store } = await openStore();
    await repository.commit({ puts: [{ key: 'deployments', value: '["nano",{"modelId":"other","stages":3}]' }] });
    const other = { ...NANO_DEPLOYMENT, modelId: 'other', stages: 3 };
    expect((await store.load()).deployments).toEqual([NANO_DEPLOYMENT, other]);
    await store.close();
  });

  it.each([
    ['nodes/a', '{', /^state entry nodes\/a: not JSON$/],
    ['nodes/a', '{"id":"a"}', /^state entry nodes\/a: address: /],
    ['pipelines/p', '{"spec":{"stages":[]}}', /^state entry pipelines\/p: spec\./],
    ['deployments', '["nano", 3]', /^state entry deployments: 1: /],
    ['deployments', '[{"modelId":"nano","pins":[{}]}]', /^state entry deployments: 0: /],
  ])('is refused when it is damaged: %s = %s', async (key, value, reason) => {
    const { repository, store } = await openStore();
    await repository.commit({ puts: [{ key, value }] });
    await expect(store.load()).rejects.toMatchObject({
      code: 'corrupt_state',
      message: expect.stringMatching(reason) as string,
    });
    await store.close();
  });
});
