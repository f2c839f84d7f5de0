import { copyFile, rm } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import {
  type NodeSessionResponse,
  PangalacticError,
  type PipelineSpec,
  repositoryRoot,
  ShardState,
} from '@pangalactic/contracts';
import { freePort, until } from '@pangalactic/testing';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ModelInventory } from '../models/model-inventory.service';
import { complete } from '../testing/generate';
import { type HubPeerSession, ScriptedHub } from '../testing/scripted-hub.controller';
import { pipelineSpec, TestNode } from '../testing/test-node';

const AUTHORITY = { clusterId: 'cluster-a', term: 1 };
const { SHARD_STATE_BROKEN, SHARD_STATE_GONE, SHARD_STATE_LOADING, SHARD_STATE_READY } = ShardState;

describe('HubSession', () => {
  let hub: ScriptedHub;
  let hubAddress: string;
  let nodes: TestNode[];

  const startNode = async (environment: Record<string, string> = {}): Promise<TestNode> => {
    const node = await TestNode.start({ id: 'node-0', environment: { NODE_HUB_ADDR: hubAddress, ...environment } });
    nodes.push(node);
    return node;
  };
  const load = (pipeline: PipelineSpec, authority = AUTHORITY): NodeSessionResponse => ({
    load: { ...authority, pipeline, stage: 0 },
  });
  const untilStatus = (session: HubPeerSession, state: ShardState, pipelineId = 'p1') =>
    until(() => session.statuses(pipelineId).find((status) => status.state === state), {
      timeoutMs: 5_000,
      intervalMs: 5,
      message: () => `${pipelineId} in state ${state}, got ${JSON.stringify(session.statuses(pipelineId))}`,
    });

  beforeEach(async () => {
    nodes = [];
    hubAddress = `127.0.0.1:${await freePort()}`;
    hub = await ScriptedHub.start(hubAddress);
  });

  afterEach(async () => {
    await Promise.all(nodes.map((node) => node.close()));
    await hub.close();
  });

  it('registers with what it offers and what it found', async () => {
    const node = await startNode({ NODE_SIMULATED_VRAM_GB: '0.5', NODE_GPU_COMPUTE_TYPE: 'cuda' });
    const { register } = await hub.session();
    expect(register).toMatchObject({
      nodeId: 'node-0',
      address: node.address,
      computeType: 'cuda',
      simulated: true,
      memoryBytes: node.config.simulatedVramBytes,
      shards: [],
      clusterId: '',
      term: 0,
    });
    expect(register.version).toMatch(/^\d+\.\d+\.\d+$/);
    expect(register.inventory?.models.map(({ id }) => id)).toEqual(['pangalactic-nano']);
  });

  it('is ready once it has registered, and stays so without the hub', async () => {
    const node = await startNode();
    const ready = async () => (await fetch(`${node.httpUrl}/readyz`)).status;
    await until(async () => (await ready()) === 200, { timeoutMs: 5_000, message: 'ready' });
    await hub.close();
    expect(await ready()).toBe(200);
  });

  it('beats in the interval that the hub asks for, with the times of its stages', async () => {
    const node = await startNode();
    const session = await hub.session();
    await session.send(load(await pipelineSpec([node])));
    await untilStatus(session, SHARD_STATE_READY);
    await complete(node, { maxTokens: 4 });
    const stageTimes = () => session.messages.findLast(({ heartbeat }) => heartbeat)?.heartbeat?.stageTimes[0];
    const idle = () => {
      const times = stageTimes();
      if (!times || times.runningSequences > 0) return undefined;
      return times.decodeStepMs > 0 && times.prefillTokenMs > 0 ? times : undefined;
    };
    const times = await until(idle, {
      timeoutMs: 5_000,
      message: () => `a heartbeat with all times, the last has ${JSON.stringify(stageTimes())}`,
    });
    expect(times.pipelineId).toBe('p1');
    await until(() => session.heartbeats > 3, { timeoutMs: 5_000, message: 'more heartbeats' });
  });

  it('loads and unloads on command and reports each state', async () => {
    const node = await startNode();
    const session = await hub.session();
    await session.send(load(await pipelineSpec([node])));
    await untilStatus(session, SHARD_STATE_READY);
    await session.send({ unload: { ...AUTHORITY, pipelineId: 'p1' } });
    await untilStatus(session, SHARD_STATE_GONE);
    const states = session.statuses('p1').map(({ state }) => state);
    expect(states[0]).toBe(SHARD_STATE_LOADING);
    expect(states.at(-1)).toBe(SHARD_STATE_GONE);
    expect(node.pipelines.statuses()).toEqual([]);
  });

  it('answers the unloading of what it does not hold', async () => {
    await startNode();
    const session = await hub.session();
    await session.send({ unload: { ...AUTHORITY, pipelineId: 'p7' } });
    await untilStatus(session, SHARD_STATE_GONE, 'p7');
  });

  it('reports a load that cannot be as broken, with the reason', async () => {
    const node = await startNode();
    const session = await hub.session();
    const spec = await pipelineSpec([node]);
    await session.send(load({ ...spec, fingerprint: 'other' }));
    const { fault } = await untilStatus(session, SHARD_STATE_BROKEN);
    expect(fault).toMatchObject({
      stage: 0,
      nodeId: 'node-0',
      reason: expect.stringMatching(/fingerprint other/) as string,
    });
    const foreign = { ...spec, id: 'p2', stages: spec.stages.map((stage) => ({ ...stage, nodeId: 'node-9' })) };
    await session.send(load(foreign));
    expect((await untilStatus(session, SHARD_STATE_BROKEN, 'p2')).fault?.reason).toMatch(/belongs to node-9/);
  });

  it('registers again when the session breaks, with the shards that it still serves', async () => {
    const node = await startNode();
    const session = await hub.session();
    await session.send(load(await pipelineSpec([node])));
    await untilStatus(session, SHARD_STATE_READY);
    await hub.close();
    expect((await complete(node, { maxTokens: 3 })).ids).toHaveLength(3);
    hub = await ScriptedHub.start(hubAddress);
    const { register } = await hub.session();
    expect(register).toMatchObject({
      nodeId: 'node-0',
      clusterId: 'cluster-a',
      term: 1,
      shards: [{ pipelineId: 'p1', state: SHARD_STATE_READY }],
    });
  });

  it('goes to the leader that a standby names, and back when that is lost', async () => {
    const leaderAddress = `127.0.0.1:${await freePort()}`;
    const leader = await ScriptedHub.start(leaderAddress);
    hub.answerWith(() => {
      throw new PangalacticError('not_leader', `${leaderAddress} leads`, { redirectTo: leaderAddress });
    });
    await startNode();
    expect((await leader.session()).register.nodeId).toBe('node-0');
    hub.answerWith(() => ({ registered: { clusterId: 'cluster-a', term: 2, heartbeatIntervalMs: 20 } }));
    await leader.close();
    const again = await hub.session(1);
    await until(() => again.heartbeats > 0, { timeoutMs: 5_000, message: 'a heartbeat' });
  });

  it('goes from hub to hub of its list until one takes it, and to the next when that is lost', async () => {
    const others = await Promise.all([freePort(), freePort()]);
    const [nobody, spare] = others.map((port) => `127.0.0.1:${port}`) as [string, string];
    const second = await ScriptedHub.start(spare);
    await startNode({ NODE_HUB_ADDR: `${nobody},${hubAddress}, ${spare}` });
    expect((await hub.session()).register.nodeId).toBe('node-0');
    await hub.close();
    expect((await second.session()).register.nodeId).toBe('node-0');
    hub = await ScriptedHub.start(hubAddress);
    await second.close();
    expect((await hub.session()).register.nodeId).toBe('node-0');
  });

  it('forgets its shards when it joins another cluster', async () => {
    const node = await startNode();
    const session = await hub.session();
    await session.send(load(await pipelineSpec([node])));
    await untilStatus(session, SHARD_STATE_READY);
    hub.answerWith(() => ({ registered: { clusterId: 'cluster-b', term: 1, heartbeatIntervalMs: 20 } }));
    session.end();
    await hub.session(1);
    await until(() => node.pipelines.statuses().length === 0, { timeoutMs: 5_000, message: 'no shard left' });
  });

  it('refuses commands of a lower term or of another cluster', async () => {
    hub.answerWith(() => ({ registered: { clusterId: 'cluster-a', term: 5, heartbeatIntervalMs: 20 } }));
    const node = await startNode();
    const session = await hub.session();
    const spec = await pipelineSpec([node]);
    await session.send(load({ ...spec, id: 'old' }, { clusterId: 'cluster-a', term: 4 }));
    await session.send(load({ ...spec, id: 'foreign' }, { clusterId: 'cluster-b', term: 9 }));
    await session.send(load({ ...spec, id: 'good' }, { clusterId: 'cluster-a', term: 5 }));
    await untilStatus(session, SHARD_STATE_READY, 'good');
    expect(node.pipelines.statuses().map(({ pipelineId }) => pipelineId)).toEqual(['good']);
  });

  it('leaves a hub of a lower term and tries again', async () => {
    hub.answerWith(() => ({ registered: { clusterId: 'cluster-a', term: 5, heartbeatIntervalMs: 20 } }));
    await startNode();
    const session = await hub.session();
    hub.answerWith(() => ({ registered: { clusterId: 'cluster-a', term: 4, heartbeatIntervalMs: 20 } }));
    session.end();
    const stale = await hub.session(1);
    await until(() => stale.ended, { timeoutMs: 5_000, message: 'the session with the stale hub ends' });
    hub.answerWith(() => ({ registered: { clusterId: 'cluster-a', term: 6, heartbeatIntervalMs: 20 } }));
    const next = await until(() => hub.sessions.find(({ heartbeats }) => heartbeats > 0 && hub.sessions.length > 2), {
      timeoutMs: 10_000,
      message: 'a session with the new hub',
    });
    expect(next.register.nodeId).toBe('node-0');
  });

  it('takes another name when its host name belongs to somebody else', async () => {
    hub.answerWith(({ nodeId }) => {
      if (nodeId === hostname()) throw new PangalacticError('node_id_taken', `${nodeId} is taken`);
      return { registered: { ...AUTHORITY, heartbeatIntervalMs: 20 } };
    });
    await startNode({ NODE_ID: '' });
    const { register } = await hub.session(1);
    expect(register.nodeId).toMatch(new RegExp(`^${hostname()}-[0-9a-f]{6}$`));
  });

  it('tells the hub when models come and go', async () => {
    const node = await startNode();
    const session = await hub.session();
    const added = join(node.config.modelDirectory, 'second.gguf');
    await copyFile(join(repositoryRoot(), 'models/pangalactic-nano-q4_0.gguf'), added);
    await node.app.get(ModelInventory).rescan();
    const ids = () => session.messages.findLast(({ inventory }) => inventory)?.inventory?.models.map(({ id }) => id);
    await until(() => ids()?.includes('second'), { timeoutMs: 5_000, message: 'the second model' });
    await rm(added);
    await node.app.get(ModelInventory).rescan();
    await until(() => ids()?.includes('second') === false, { timeoutMs: 5_000, message: 'one model' });
  });

  it('leaves the hub in good order as soon as it drains, while work goes on', async () => {
    const node = await startNode();
    const session = await hub.session();
    const endWork = node.drain.begin();
    const closed = node.app.close();
    await until(() => session.ended, { timeoutMs: 5_000, message: 'the session ends' });
    expect(session.left).toBe(true);
    expect(node.drain.state).toBe('DRAINING');
    endWork();
    await closed;
    expect(hub.sessions).toHaveLength(1);
  });

  it('does not wait for a hub that takes no note of its leaving', async () => {
    const node = await startNode();
    const session = await hub.session();
    let wakeHub = () => {};
    hub.hangUntil(new Promise((resolve) => (wakeHub = resolve)));
    await node.app.close();
    expect(session.left).toBe(true);
    wakeHub();
  });

  it('stops at once while it has no hub to leave', async () => {
    await hub.close();
    const node = await startNode();
    const started = performance.now();
    await node.app.close();
    expect(performance.now() - started).toBeLessThan(2_500);
    hub = await ScriptedHub.start(hubAddress);
  });
});
