import { ShardState } from '@pangalactic/contracts';
import { SqliteStateRepository } from '@pangalactic/state';
import { callEveryMethod } from '@pangalactic/testing';
import { afterEach, describe, expect, it } from 'vitest';
import {
  closeAll,
  DEADLINE,
  NANO,
  newSqlitePath,
  PlayedNode,
  readyPair,
  shardStatus,
  type SpecHub,
  startHub,
  untilCluster,
  watchRoutes,
} from './hub.fixture';

const { SHARD_STATE_READY, SHARD_STATE_LOADING, SHARD_STATE_BROKEN, SHARD_STATE_GONE } = ShardState;

afterEach(closeAll);

const waits = { timeout: 10_000, interval: 10 };

describe('a hub', () => {
  it('takes nodes, makes them load a pipeline and routes it once its head is READY', async () => {
    const hub = await startHub();
    const { tables } = watchRoutes(hub);
    await expect.poll(() => tables, waits).toEqual([{ routes: [], models: [] }]);

    const a = await PlayedNode.join(hub, 'a');
    const welcome = await a.next('registered');
    expect(welcome).toEqual({ clusterId: expect.stringMatching(/.+/) as string, term: 1, heartbeatIntervalMs: 5_000 });
    const waiting = await hub.client.getCluster({}, DEADLINE);
    expect(waiting.deployments).toEqual([
      { modelId: 'nano', waitingFor: '2 stages need 2 nodes with nano; 1 available (a)' },
    ]);

    const b = await PlayedNode.join(hub, 'b', { address: '127.0.0.1:2' });
    const load = await a.next('load');
    expect(load).toMatchObject({ clusterId: welcome.clusterId, term: 1, stage: 0 });
    expect(await b.next('load')).toMatchObject({ pipeline: load.pipeline, stage: 1 });
    expect(load.pipeline).toMatchObject({ id: 'nano-1-1', modelId: 'nano', fingerprint: 'f1', maxSequences: 8 });
    expect(load.pipeline?.stages.map(({ nodeId, layers }) => [nodeId, layers])).toEqual([
      ['a', { from: 0, to: 3 }],
      ['b', { from: 3, to: 6 }],
    ]);

    await a.report('nano-1-1', SHARD_STATE_LOADING, { progress: 0.5 });
    await b.report('nano-1-1', SHARD_STATE_READY);
    await untilCluster(
      hub,
      ({ deployments }) => deployments[0]?.waitingFor.includes('a LOADING 50 %, b READY') ?? false,
    );
    expect(tables.at(-1)).toEqual({
      routes: [],
      models: [{ id: 'nano', state: 'LOADING', contextLength: 256, origin: 'CONFIGURATION' }],
    });

    await a.report('nano-1-1', SHARD_STATE_READY);
    await expect.poll(() => tables.at(-1)?.routes.map(({ pipeline }) => pipeline), waits).toEqual([load.pipeline]);
    expect(tables.at(-1)?.routes[0]?.readyAt).toBeGreaterThan(Date.now() / 1000 - 60);

    const cluster = await hub.client.getCluster({}, DEADLINE);
    expect(cluster).toMatchObject({ clusterId: welcome.clusterId, term: 1 });
    expect(cluster.nodes.map(({ id, state, models }) => [id, state, models])).toEqual([
      ['a', 'CONNECTED', ['nano']],
      ['b', 'CONNECTED', ['nano']],
    ]);
    expect(cluster.pipelines).toMatchObject([{ state: 'READY', pipeline: { id: 'nano-1-1' } }]);
    expect(cluster.deployments).toEqual([{ modelId: 'nano', waitingFor: '' }]);
  });

  it('shows measured step times and the age of the last heartbeat', async () => {
    const hub = await startHub();
    const { a } = await readyPair(hub);
    const times = {
      ...{ pipelineId: 'nano-1-1', decodeStepMs: 1.5, singleDecodeMs: 1 },
      ...{ prefillTokenMs: 0.25, runningSequences: 3 },
    };
    await a.send({ heartbeat: { stageTimes: [times], links: [] } });
    const { nodes, pipelines } = await untilCluster(hub, (cluster) =>
      Boolean(cluster.pipelines[0]?.stageTimes[0]?.decodeStepMs),
    );
    expect(pipelines[0]?.stageTimes[0]).toEqual(times);
    expect(nodes[0]?.heartbeatAgeMs).toBeLessThan(5_000);
  });

  it('repairs a pipeline that breaks, with a node that joins', async () => {
    const hub = await startHub();
    const { a, b } = await readyPair(hub);
    const { tables } = watchRoutes(hub);
    await expect.poll(() => tables.at(-1)?.routes.length, waits).toBe(1);
    b.vanish();
    await untilCluster(hub, ({ nodes }) => nodes[1]?.state === 'SUSPECT');
    await expect.poll(() => tables.at(-1)?.routes, waits).toEqual([]);
    const fault = { stage: 1, nodeId: 'b', reason: 'hop closed' };
    await a.report('nano-1-1', SHARD_STATE_BROKEN, { fault });
    await a.next('unload');
    await a.report('nano-1-1', SHARD_STATE_GONE);
    const c = await PlayedNode.join(hub, 'c', { address: '127.0.0.1:3' });
    expect((await c.next('load')).pipeline).toMatchObject({
      id: 'nano-1-2',
      stages: [{ nodeId: 'a' }, { nodeId: 'c' }],
    });
  });

  it('withdraws the route of a node that leaves and lets the pipeline finish', async () => {
    const hub = await startHub();
    const { a, b } = await readyPair(hub);
    const { tables } = watchRoutes(hub);
    await expect.poll(() => tables.at(-1)?.routes.length, waits).toBe(1);
    b.leave();
    await expect.poll(() => b.ended, waits).toBe('ok');
    await expect.poll(() => tables.at(-1)?.routes, waits).toEqual([]);
    const { nodes, pipelines } = await hub.client.getCluster({}, DEADLINE);
    expect(nodes.map(({ state }) => state)).toEqual(['CONNECTED', 'LEAVING']);
    expect(pipelines).toMatchObject([{ state: 'DRAINING', reason: 'node b is LEAVING' }]);
    expect(a.count('unload')).toBe(0);
  });

  it('withdraws the route of a node that is silent, ends its session and lets it register again', async () => {
    const hub = await startHub({ environment: { HUB_HEARTBEAT_TIMEOUT_S: '0.6' } });
    const { tables } = watchRoutes(hub);
    const { a, b } = await readyPair(hub);
    b.stopBeating();
    const { nodes } = await untilCluster(hub, (cluster) => cluster.nodes[1]?.state === 'FAILED');
    expect(nodes[0]?.state).toBe('CONNECTED');
    expect((await a.next('unload')).pipelineId).toBe('nano-1-1');
    await expect.poll(() => tables.at(-1)?.routes, waits).toEqual([]);
    await expect.poll(() => b.ended, waits).toMatchObject({ code: 'deadline_exceeded' });
    await a.report('nano-1-1', SHARD_STATE_GONE);
    const again = await PlayedNode.join(hub, 'b', {
      address: '127.0.0.1:2',
      shards: [shardStatus('nano-1-1', SHARD_STATE_READY)],
    });
    expect((await again.next('unload')).pipelineId).toBe('nano-1-1');
    await again.report('nano-1-1', SHARD_STATE_GONE);
    expect((await again.next('load')).pipeline?.id).toBe('nano-1-2');
  });

  it('keeps the routes of a node that lost its session but still answers', async () => {
    const hub = await startHub();
    const a = await PlayedNode.join(hub, 'a');
    // The hub's own port: something answers there.
    const b = await PlayedNode.join(hub, 'b', { address: hub.address });
    await b.next('load');
    await b.report('nano-1-1', SHARD_STATE_READY);
    await a.report('nano-1-1', SHARD_STATE_READY);
    const { tables } = watchRoutes(hub);
    await expect.poll(() => tables.at(-1)?.routes.length, waits).toBe(1);
    b.vanish();
    await untilCluster(hub, ({ nodes }) => nodes[1]?.state === 'RECONNECTING');
    // The other node's session breaks and its probe fails: by then the first probe has had its answer.
    a.vanish();
    const { nodes } = await untilCluster(hub, (cluster) => cluster.nodes[0]?.state === 'SUSPECT');
    expect(nodes[1]?.state).toBe('RECONNECTING');
  });

  it('deploys a model that a node finds later', async () => {
    const hub = await startHub({ environment: { HUB_PIPELINE_STAGES: '0' } });
    const a = await PlayedNode.join(hub, 'a', { inventory: undefined });
    expect((await hub.client.getCluster({}, DEADLINE)).deployments).toEqual([
      { modelId: 'nano', waitingFor: 'no node has reported nano yet' },
    ]);
    await a.send({ inventory: { models: [NANO], rejected: [{ file: 'x.gguf', reason: 'truncated' }] } });
    expect((await a.next('load')).pipeline?.stages).toHaveLength(1);
    const { nodes } = await hub.client.getCluster({}, DEADLINE);
    expect(nodes[0]?.rejected).toEqual([{ file: 'x.gguf', reason: 'truncated' }]);
  });
});

describe('a hub in trouble', () => {
  const rounds = async (hub: SpecHub) => {
    const metrics = await (await fetch(`${hub.url}/metrics`)).text();
    return Number(/pangalactic_hub_reconcile_duration_seconds_count (\d+)/.exec(metrics)?.[1]);
  };

  it('only keeps time once nodes have died, left and come back until too few are there', async () => {
    const hub = await startHub({ environment: { HUB_PIPELINE_STAGES: '3', HUB_HEARTBEAT_TIMEOUT_S: '1.5' } });
    const { tables } = watchRoutes(hub);
    const joined: PlayedNode[] = [];
    const join = async (id: string, port: number) => {
      const node = await PlayedNode.join(hub, id, { address: `127.0.0.1:${port}` });
      node.obey = ({ unload }) =>
        unload && void node.report(unload.pipelineId, SHARD_STATE_GONE).catch(() => undefined);
      joined.push(node);
      return node;
    };
    await join('a', 1);
    await join('b', 2);
    for (let round = 0; round < 3; round++) {
      const c = await join('c', 3);
      await c.next('load');
      if (round % 2 === 0) c.vanish();
      else c.leave();
      await expect.poll(() => c.ended, waits).toBeDefined();
    }
    await untilCluster(hub, ({ nodes, pipelines }) => nodes[2]?.state !== 'CONNECTED' && pipelines.length === 0);
    const messages = () => joined.reduce((sum, { received }) => sum + received.length, tables.length);
    const sent = messages();
    // A registration, a load and an unload for each of three nodes in each of three rounds, and a few tables.
    expect(sent).toBeLessThan(40);
    const [before, startedAt] = [await rounds(hub), performance.now()];
    await expect.poll(() => rounds(hub), waits).toBeGreaterThan(before + 10);
    // Ticks are 100 ms apart.
    expect(performance.now() - startedAt).toBeGreaterThan(700);
    expect(messages()).toBe(sent);
  });

  it('tries what keeps failing ever more slowly', async () => {
    const hub = await startHub({ environment: { HUB_PIPELINE_STAGES: '1' } });
    const node = await PlayedNode.join(hub, 'a', { inventory: undefined });
    const loadsAt: number[] = [];
    const fault = { stage: 0, nodeId: 'a', reason: 'no space left' };
    node.obey = ({ load, unload }) => {
      if (load) loadsAt.push(performance.now());
      if (load) void node.report(load.pipeline!.id, SHARD_STATE_BROKEN, { fault });
      if (unload) void node.report(unload.pipelineId, SHARD_STATE_GONE);
    };
    await node.send({ inventory: { models: [NANO], rejected: [] } });
    await expect.poll(() => loadsAt.length, waits).toBe(3);
    expect(loadsAt[1]! - loadsAt[0]!).toBeGreaterThan(450);
    expect(loadsAt[2]! - loadsAt[1]!).toBeGreaterThan(900);
    expect(node.count('unload')).toBeLessThanOrEqual(3);
  });
});

describe('a hub that restarts', () => {
  it('serves the same routes at once and sends nothing to nodes that kept their shards', async () => {
    const first = await startHub();
    const { a, b, pipeline } = await readyPair(first);
    const before = await first.client.getCluster({}, DEADLINE);
    await first.close();
    await expect
      .poll(() => [a.ended, b.ended], waits)
      .toMatchObject([{ code: 'service_unavailable' }, { code: 'service_unavailable' }]);

    const second = await startHub({ sqlitePath: first.sqlitePath });
    const { tables } = watchRoutes(second);
    await expect.poll(() => tables[0]?.routes.map((route) => route.pipeline), waits).toEqual([pipeline]);
    const held = {
      shards: [shardStatus(pipeline.id, SHARD_STATE_READY)],
      clusterId: before.clusterId,
      term: before.term,
    };
    const again = [
      await PlayedNode.join(second, 'a', held),
      await PlayedNode.join(second, 'b', { ...held, address: '127.0.0.1:2' }),
    ];
    const after = await untilCluster(second, ({ nodes }) => nodes.every(({ state }) => state === 'CONNECTED'));
    expect(after).toMatchObject({ clusterId: before.clusterId, term: before.term + 1 });
    expect(after.pipelines).toMatchObject([{ state: 'READY', pipeline: { id: pipeline.id } }]);
    // A change of the cluster that makes the hub send something would have arrived before this answer to it.
    await again[0]!.report('unknown-pipeline', SHARD_STATE_READY);
    await again[0]!.next('unload');
    expect(again.map((node) => node.count('load'))).toEqual([0, 0]);
    expect(again.map((node) => node.count('unload'))).toEqual([1, 0]);
    expect(tables).toHaveLength(1);
  });

  it('breaks a pipeline of which a node lost its shard meanwhile', async () => {
    const first = await startHub();
    const { pipeline } = await readyPair(first);
    await first.close();
    const second = await startHub({ sqlitePath: first.sqlitePath });
    const a = await PlayedNode.join(second, 'a', { shards: [shardStatus(pipeline.id, SHARD_STATE_READY)] });
    await PlayedNode.join(second, 'b', { address: '127.0.0.1:2' });
    expect((await a.next('unload')).pipelineId).toBe(pipeline.id);
    await a.report(pipeline.id, SHARD_STATE_GONE);
    expect((await a.next('load')).pipeline?.id).toBe('nano-2-1');
  });

  it('stops with one line when its state cannot be trusted', async () => {
    const sqlitePath = newSqlitePath();
    const repository = await SqliteStateRepository.open(sqlitePath);
    await repository.commit({ puts: [{ key: 'pipelines/p', value: '{"spec":{}}' }] });
    await repository.close();
    await expect(startHub({ sqlitePath })).rejects.toMatchObject({
      code: 'corrupt_state',
      message: expect.stringMatching(/^state entry pipelines\/p: spec\.\w+: .+$/) as string,
    });
  });
});

describe('over HTTP', () => {
  it('is ready, alive and measured', async () => {
    const hub = await startHub();
    await readyPair(hub);
    const ready = await fetch(`${hub.url}/readyz`);
    expect([ready.status, await ready.text()]).toEqual([200, '{"ready": true}']);
    expect((await fetch(`${hub.url}/healthz`)).status).toBe(200);
    const metrics = await (await fetch(`${hub.url}/metrics`)).text();
    expect(metrics).toContain('pangalactic_hub_nodes{state="CONNECTED"} 2');
    expect(metrics).toContain('pangalactic_hub_nodes{state="FAILED"} 0');
    expect(metrics).toContain('pangalactic_hub_pipelines{model="nano",state="READY"} 1');
    expect(metrics).toMatch(/pangalactic_hub_reconcile_duration_seconds_count [1-9]/);
    expect(metrics).toMatch(/pangalactic_hub_plan_duration_seconds_count 1\n/);
    expect(metrics).toContain('pangalactic_hub_leader 1\n');
    expect(metrics).toContain('pangalactic_hub_events_total{event="pipeline_ready"} 1');
    expect(metrics).toMatch(
      /pangalactic_hub_state_operation_duration_seconds_count\{backend="sqlite",operation="commit"\} [1-9]/,
    );
  });

  it('has as many series for ten nodes as for two', async () => {
    const hub = await startHub();
    await readyPair(hub);
    const series = async () =>
      (await (await fetch(`${hub.url}/metrics`)).text()).split('\n').map((line) => line.replace(/ \S+$/, ''));
    const before = new Set(await series());
    for (let index = 0; index < 8; index += 1) await PlayedNode.join(hub, `another-${index}`);
    await untilCluster(hub, ({ nodes }) => nodes.length === 10);
    const added = (await series()).filter((name) => !before.has(name));
    // Those of the first scrape: until then nobody had asked.
    expect(added.filter((name) => name.startsWith('pangalactic_') && !name.includes('"/metrics"'))).toEqual([]);
  });
});

describe('its configuration', () => {
  it.each([
    [{ HUB_ETCD_USERNAME: 'hub' }, 'HUB_ETCD_USERNAME, HUB_ETCD_PASSWORD: allowed: both or neither'],
    [{ HUB_ETCD_CERT_FILE: '/c.pem' }, 'HUB_ETCD_CERT_FILE, HUB_ETCD_KEY_FILE: allowed: both or neither'],
    [{ HUB_ETCD_CA_FILE: '/no.pem' }, 'HUB_ETCD_CA_FILE="/no.pem": allowed: a file that can be read (ENOENT)'],
  ])('of etcd is refused in one line: %j', async (environment, message) => {
    await expect(startHub({ environment: { HUB_STATE_BACKEND: 'etcd', ...environment } })).rejects.toMatchObject({
      name: 'ConfigError',
      message,
    });
  });

  it('answers whoever asks for the cluster, also after callers that cancel or run out of time', async () => {
    const hub = await startHub();
    await PlayedNode.join(hub, 'a');
    const leaving = new AbortController();
    const cancelled = hub.client.getCluster({}, { ...DEADLINE, signal: leaving.signal });
    leaving.abort();
    await expect(cancelled).rejects.toMatchObject({ code: 'cancelled' });
    const late = hub.client.getCluster({}, { deadlineMs: 1 });
    // Nobody serves it in time: hub and caller share this thread.
    for (const end = performance.now() + 20; performance.now() < end;);
    await expect(late).rejects.toMatchObject({ code: 'deadline_exceeded' });
    expect((await hub.client.getCluster({}, DEADLINE)).nodes).toMatchObject([{ id: 'a' }]);
  });

  it('explains its plan, also after callers that cancel or run out of time', async () => {
    const hub = await startHub();
    await readyPair(hub);
    const leaving = new AbortController();
    const cancelled = hub.client.explainPlan({}, { ...DEADLINE, signal: leaving.signal });
    leaving.abort();
    await expect(cancelled).rejects.toMatchObject({ code: 'cancelled' });
    const late = hub.client.explainPlan({}, { deadlineMs: 1 });
    for (const end = performance.now() + 20; performance.now() < end;);
    await expect(late).rejects.toMatchObject({ code: 'deadline_exceeded' });
    expect((await hub.client.explainPlan({}, DEADLINE)).plans).toMatchObject([
      { modelId: 'nano', pipelineId: 'nano-1-1', reason: '', stages: [{ nodeId: 'a' }, { nodeId: 'b' }], leftOut: [] },
    ]);
  });

  it('keeps callers without the cluster token out', async () => {
    const hub = await startHub({ environment: { PANGALACTIC_CLUSTER_TOKEN: 'secret, older' } });
    const call = (authorization?: string) =>
      callEveryMethod(hub.address, ['pangalactic.v1.HubService', 'grpc.health.v1.Health'], authorization);
    for (const wrong of [undefined, '', 'secret', 'Bearer guess', 'Bearer ', 'Basic secret', 'Bearer secret, older']) {
      const answers = await call(wrong);
      expect(answers.length).toBeGreaterThan(6);
      const refusal = { status: 'UNAUTHENTICATED', code: 'invalid_cluster_token' };
      expect(answers).toEqual(answers.map(({ path }) => ({ path, ...refusal })));
    }
    for (const right of ['Bearer secret', 'Bearer older']) {
      expect((await call(right)).filter(({ status }) => status === 'UNAUTHENTICATED')).toEqual([]);
    }
    expect((await hub.client.getCluster({}, DEADLINE)).nodes).toEqual([]);
  });
});
