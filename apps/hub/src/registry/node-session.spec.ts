import { createServer } from 'node:net';
import { ActivationFormat, ShardState, type ModelInfo, type NodeSessionRequest } from '@pangalactic/contracts';
import { DrainCoordinator } from '@pangalactic/lifecycle';
import { freePort } from '@pangalactic/testing';
import { afterEach, describe, expect, it } from 'vitest';
import {
  closeAll,
  DEADLINE,
  NANO,
  PlayedNode,
  registerMessage,
  shardStatus,
  startHub,
  untilCluster,
} from '../hub.fixture';
import { NodeProbe } from './node-probe';
import { NodeRegistry } from './node-registry';

afterEach(closeAll);

const waits = { timeout: 10_000, interval: 10 };
const connected =
  (count: number) =>
  ({ nodes }: { nodes: { state: string }[] }) =>
    nodes.filter(({ state }) => state === 'CONNECTED').length === count;

describe('a node session', () => {
  const model = (changes: Partial<ModelInfo>) =>
    registerMessage('a', { inventory: { models: [{ ...NANO, ...changes }], rejected: [] } });

  it.each<[string, NodeSessionRequest, RegExp]>([
    [
      'a heartbeat',
      { heartbeat: { stageTimes: [], links: [] } },
      /^the first message of a node session must be Register$/,
    ],
    ['nothing at all', {}, /^the first message/],
    ['no id', registerMessage(''), /^node_id "": allowed: /],
    ['an id that is no name', registerMessage('a/b'), /^node_id "a\/b": allowed: /],
    ['no address', registerMessage('a', { address: '' }), /^address "" of a: allowed: host:port$/],
    ['no memory', registerMessage('a', { memoryBytes: 0 }), /^memory_bytes 0 of a: allowed: more than 0$/],
    [
      'an activation format that nobody speaks',
      registerMessage('a', { activationFormat: ActivationFormat.ACTIVATION_FORMAT_UNSPECIFIED }),
      /^activation format 0: allowed are 1 \(f32\), 2 \(f16\), 3 \(int8\)$/,
    ],
    ['a model without layers', model({ layers: 0, layerBytes: [] }), /^model nano: 0 layers: allowed: 1 to 512$/],
    ['an endless version', registerMessage('a', { version: 'v'.repeat(300_000) }), /^version of 300000 characters/],
    ['an endless compute type', registerMessage('a', { computeType: 'c'.repeat(256) }), /^compute_type of 256 char/],
    [
      'a shard of an endless pipeline id',
      registerMessage('a', { shards: [shardStatus('p'.repeat(256), ShardState.SHARD_STATE_READY)] }),
      /^pipeline_id of 256 characters/,
    ],
    ['an endless fingerprint', model({ fingerprint: 'f'.repeat(256) }), /^fingerprint of 256 characters/],
    ['an endless model id', model({ id: '\u0001'.repeat(50) }), /^model ".*": allowed: an id of up to 128 bytes$/],
    ['sizes that do not add up', model({ layerBytes: [1, 2] }), /^model nano: 2 layer_bytes for 6 layers$/],
    ['a model without heads', model({ heads: 0 }), /^model nano: heads 0: allowed: 1 or more$/],
    ['a model without id', model({ id: '' }), /^model "": allowed: an id of up to 128 bytes$/],
    [
      'a shard in no state',
      registerMessage('a', { shards: [shardStatus('p', ShardState.SHARD_STATE_UNSPECIFIED)] }),
      /^state 0 of a shard of p: allowed: LOADING, READY, BROKEN, GONE$/,
    ],
    [
      'a shard of no pipeline',
      registerMessage('a', { shards: [shardStatus('', ShardState.SHARD_STATE_READY)] }),
      /^pipeline_id of a shard status is empty$/,
    ],
  ])('is refused that begins with %s', async (_name, message, reason) => {
    const hub = await startHub();
    const node = new PlayedNode(hub.client);
    await node.send(message);
    await expect
      .poll(() => node.ended, waits)
      .toMatchObject({
        code: 'invalid_request',
        message: expect.stringMatching(reason) as string,
      });
    expect((await hub.client.getCluster({}, DEADLINE)).nodes).toEqual([]);
  });

  it.each<[string, NodeSessionRequest]>([
    ['a second Register', registerMessage('a')],
    ['a status in no state', { shardStatus: shardStatus('p', ShardState.SHARD_STATE_UNSPECIFIED) }],
    ['a model that does not add up', { inventory: { models: [{ ...NANO, layerBytes: [] }], rejected: [] } }],
  ])('ends at %s, and the hub goes on', async (_name, message) => {
    const hub = await startHub();
    const node = await PlayedNode.join(hub, 'a');
    await node.send(message);
    await expect.poll(() => node.ended, waits).toMatchObject({ code: 'invalid_request' });
    await untilCluster(hub, ({ nodes }) => nodes[0]?.state === 'SUSPECT');
    await PlayedNode.join(hub, 'a');
    await untilCluster(hub, connected(1));
  });

  it('ends well when the caller ends it without a word', async () => {
    const hub = await startHub();
    const call = hub.client.nodeSession();
    call.end();
    expect(await call.next()).toEqual({ value: undefined, done: true });
  });

  it('does not wait for ever for Register', async () => {
    const hub = await startHub({ environment: { HUB_HEARTBEAT_TIMEOUT_S: '0.5' } });
    await expect(hub.client.nodeSession().next()).rejects.toMatchObject({
      code: 'deadline_exceeded',
      message: 'no Register within 0.5 s',
    });
  });

  it('ends at the deadline or the cancellation of its caller', async () => {
    const hub = await startHub();
    const call = hub.client.nodeSession({ deadlineMs: 500 });
    await call.send(registerMessage('a'));
    await untilCluster(hub, connected(1));
    await untilCluster(hub, connected(0));
    const node = await PlayedNode.join(hub, 'a');
    await untilCluster(hub, connected(1));
    node.vanish();
    await untilCluster(hub, connected(0));
  });

  it('is closed when the node leaves its commands unread', async () => {
    const hub = await startHub();
    const call = hub.client.nodeSession();
    await call.send(registerMessage('a'));
    await untilCluster(hub, connected(1));
    const registry = hub.app.get(NodeRegistry);
    const command = { unload: { clusterId: 'c', term: 1, pipelineId: 'p'.repeat(10_000) } };
    for (let sent = 0; sent < 5_000; sent++) registry.send('a', 1, command);
    await untilCluster(hub, connected(0));
    const read = async () => {
      let count = 0;
      for await (const _message of call) count += 1;
      return count;
    };
    await expect(read()).rejects.toMatchObject({ code: 'queue_full' });
  });

  it('refuses a node that has obeyed a later term of the same cluster', async () => {
    const hub = await startHub();
    const { clusterId } = await hub.client.getCluster({}, DEADLINE);
    const node = new PlayedNode(hub.client);
    await node.send(registerMessage('a', { clusterId, term: 7 }));
    await expect
      .poll(() => node.ended, waits)
      .toMatchObject({
        code: 'stale_term',
        message: 'a obeys term 7 of this cluster, this hub leads term 1',
      });
    await PlayedNode.join(hub, 'a', { clusterId: 'another cluster', term: 7 });
  });
});

describe('a NODE_ID', () => {
  it('may be taken over from the same address, and the older session ends', async () => {
    const hub = await startHub();
    const old = await PlayedNode.join(hub, 'a');
    const young = await PlayedNode.join(hub, 'a');
    await expect.poll(() => old.ended, waits).toMatchObject({ code: 'node_id_taken' });
    await young.report('unknown', ShardState.SHARD_STATE_READY);
    expect((await young.next('unload')).pipelineId).toBe('unknown');
    expect((await hub.client.getCluster({}, DEADLINE)).nodes).toMatchObject([{ id: 'a', state: 'CONNECTED' }]);
  });

  it('belongs to the address that beats, until it is silent', async () => {
    const hub = await startHub({ environment: { HUB_HEARTBEAT_TIMEOUT_S: '0.5' } });
    const holder = await PlayedNode.join(hub, 'a');
    const intruder = new PlayedNode(hub.client);
    await intruder.send(registerMessage('a', { address: '127.0.0.1:2' }));
    await expect
      .poll(() => intruder.ended, waits)
      .toMatchObject({
        code: 'node_id_taken',
        message: 'NODE_ID a belongs to the node at 127.0.0.1:1, which is alive; 127.0.0.1:2 needs another one',
      });
    holder.stopBeating();
    await untilCluster(hub, ({ nodes }) => nodes[0]?.state === 'FAILED');
    await PlayedNode.join(hub, 'a', { address: '127.0.0.1:2' });
    await untilCluster(hub, ({ nodes }) => nodes[0]?.address === '127.0.0.1:2');
  });

  it('is free at once when its node is gone for certain', async () => {
    const hub = await startHub();
    const holder = await PlayedNode.join(hub, 'a');
    await untilCluster(hub, connected(1));
    holder.vanish();
    await untilCluster(hub, ({ nodes }) => nodes[0]?.state === 'SUSPECT');
    await PlayedNode.join(hub, 'a', { address: '127.0.0.1:2' });
  });

  it('is kept for its address while a restarted hub waits for the node', async () => {
    const first = await startHub();
    await PlayedNode.join(first, 'a');
    await untilCluster(first, connected(1));
    await first.close();
    const second = await startHub({ sqlitePath: first.sqlitePath });
    const intruder = new PlayedNode(second.client);
    await intruder.send(registerMessage('a', { address: '127.0.0.1:2' }));
    await expect.poll(() => intruder.ended, waits).toMatchObject({ code: 'node_id_taken' });
    await PlayedNode.join(second, 'a');
  });
});

describe('a probe', () => {
  it('tells a node that serves from one that drains, is silent or is gone', async () => {
    const hub = await startHub();
    const probe = hub.app.get(NodeProbe);
    const silent = createServer();
    const port = await freePort();
    await new Promise<void>((resolve) => silent.listen(port, '127.0.0.1', resolve));
    // Any process of the cluster answers alike; this one is at hand.
    expect(await probe.isServing(hub.address)).toBe(true);
    expect(await probe.isServing(`127.0.0.1:${port}`)).toBe(false);
    expect(await probe.isServing('127.0.0.1:1')).toBe(false);
    const refusals = [hub.address, `127.0.0.1:${port}`, '127.0.0.1:1'].map((address) => probe.isRefused(address));
    expect(await Promise.all(refusals)).toEqual([false, false, true]);
    silent.close();
    const endWork = hub.app.get(DrainCoordinator).begin();
    const closed = hub.close();
    expect(await probe.isServing(hub.address)).toBe(false);
    endWork();
    await closed;
  });
});
