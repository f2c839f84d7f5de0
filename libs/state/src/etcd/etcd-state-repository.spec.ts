import { EtcdCluster } from '@pangalactic/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { stateRepositoryContract } from '../state-repository.contract';
import { EtcdStateRepository } from './etcd-state-repository';

let cluster: EtcdCluster;
let stores = 0;

beforeAll(async () => {
  cluster = await EtcdCluster.start();
});

afterAll(() => cluster?.stop());

stateRepositoryContract('etcd', async () => {
  const prefix = `/store-${++stores}/`;
  return {
    open: async () => open(prefix),
    destroy: async () => void (await cluster.etcdctl('del', '--prefix', prefix)),
  };
});

function open(prefix: string): EtcdStateRepository {
  return new EtcdStateRepository({ endpoints: cluster.endpoints, prefix, leaseTtlMs: 3_000 });
}

describe('a store that is not ours to use', () => {
  const facts = { clusterId: '3f0a4f1c-5cf5-4c11-9f8e-0b8f5cf1a2b3', schemaVersion: 1, term: 3, restoring: false };

  it.each<[string, Record<string, string>, RegExp]>([
    [
      'of a newer version',
      { meta: JSON.stringify({ ...facts, schemaVersion: 2 }) },
      /version 2 is newer than this hub's 1/,
    ],
    ['whose facts are no JSON', { meta: '{' }, /meta: not JSON/],
    ['whose facts make no sense', { meta: JSON.stringify({ ...facts, term: -1 }) }, /meta: term: /],
    ['without its facts', { 'entries/nodes/a': '{}' }, /there is \/bad-\d+\/entries\/nodes\/a, but not what cluster/],
    [
      'half restored',
      { meta: JSON.stringify({ ...facts, restoring: true }), 'entries/a': '1' },
      /restore stopped half-way/,
    ],
  ])('%s: is refused and left as it is', async (_, keys, reason) => {
    const prefix = `/bad-${++stores}/`;
    for (const [key, value] of Object.entries(keys)) await cluster.etcdctl('put', prefix + key, value);
    const stored = () => cluster.etcdctl('get', '--prefix', prefix, '--write-out=json').then(withoutHeader);
    const before = await stored();
    const repository = open(prefix);
    const commit = { puts: [{ key: 'a', value: '2' }] };
    for (const call of [
      () => repository.list(''),
      () => repository.commit(commit),
      () => repository.lead(),
      () => repository.currentTerm(),
    ]) {
      await expect(call()).rejects.toMatchObject({
        code: 'corrupt_state',
        message: expect.stringMatching(reason) as string,
      });
    }
    await repository.close();
    expect(await stored()).toEqual(before);
  });

  it('because a hub leads on it, is not restored to', async () => {
    const prefix = `/bad-${++stores}/`;
    const leading = open(prefix);
    await leading.lead();
    const repository = open(prefix);
    await expect(repository.restore({ ...facts, entries: [] })).rejects.toMatchObject({ code: 'state_conflict' });
    await repository.close();
    await leading.close();
  });
});

function withoutHeader(output: string): unknown {
  return (JSON.parse(output) as { kvs: unknown }).kvs;
}
