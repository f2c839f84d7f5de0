import { FinishReason } from '@pangalactic/contracts';
import { until } from '@pangalactic/testing';
import { afterEach, describe, expect, it } from 'vitest';
import { closeAll, DEADLINE, startHub, untilCluster, watchRoutes } from '../../apps/hub/src/hub.fixture';
import { firstToken, open } from '../../apps/node/src/testing/generate';
import { HeldProvider } from '../../apps/node/src/testing/held-provider';
import { TestNode } from '../../apps/node/src/testing/test-node';

const waits = { timeout: 10_000, interval: 5 };

/** The real hub and the real nodes, in this process; only the engine is a mock. */
describe('a node that is told to stop', () => {
  const nodes = new Map<string, TestNode>();

  afterEach(async () => {
    await Promise.all([...nodes.values()].map((node) => node.close()));
    nodes.clear();
    await closeAll();
  });

  it.each([
    ['the head', 0],
    ['the tail', 1],
  ])('as %s of a pipeline: finishes what runs, while its successor is planned', async (_case, stage) => {
    const environment = { HUB_MODELS: 'pangalactic-nano', HUB_PIPELINE_STAGES: '2', HUB_HEARTBEAT_TIMEOUT_S: '3' };
    const hub = await startHub({ environment });
    const { tables } = watchRoutes(hub);
    const engines = new Map<string, HeldProvider>();
    for (const id of ['a', 'b', 'c']) {
      const engine = new HeldProvider();
      engines.set(id, engine);
      const environment = { NODE_HUB_ADDR: hub.address };
      nodes.set(id, await TestNode.start({ id, provider: () => engine, environment }));
    }
    const served = () => tables.at(-1)?.routes.map(({ pipeline }) => pipeline!) ?? [];
    const first = await until(() => served()[0], { timeoutMs: 10_000, message: 'a pipeline' });
    const ids = first.stages.map(({ nodeId }) => nodeId);
    const [head, leaving] = [nodes.get(ids[0]!)!, nodes.get(ids[stage]!)!];

    // The call cannot end before everything else has happened.
    engines.get(leaving.id)!.holdAfter(1);
    const call = open(head, { pipelineId: first.id, maxTokens: 200 });
    await firstToken(call);
    const tablesBefore = tables.length;
    const closed = leaving.close();
    nodes.delete(leaving.id);

    await until(() => tables.length > tablesBefore, { timeoutMs: 10_000, intervalMs: 5, message: 'new routes' });
    expect(tables[tablesBefore]?.routes).toEqual([]);
    const cluster = await hub.client.getCluster({}, DEADLINE);
    expect(cluster.nodes.find(({ id }) => id === leaving.id)?.state).toBe('LEAVING');
    expect(cluster.pipelines.find(({ pipeline }) => pipeline?.id === first.id)).toMatchObject({
      state: 'DRAINING',
      reason: `node ${leaving.id} is LEAVING`,
    });
    await expect.poll(() => served().map(({ stages }) => stages.length), waits).toEqual([2]);
    expect(served()[0]?.stages.map(({ nodeId }) => nodeId)).not.toContain(leaving.id);

    engines.get(leaving.id)!.release();
    let tokens = 1;
    let reason: FinishReason | undefined;
    for await (const { token, finished } of call) {
      if (token) tokens += 1;
      if (finished) reason = finished.reason;
    }
    expect([tokens, reason]).toEqual([200, FinishReason.FINISH_REASON_LENGTH]);
    await closed;
    await untilCluster(hub, ({ pipelines }) => pipelines.every(({ state }) => state === 'READY'));
    expect(served()).toHaveLength(1);
  });
});
