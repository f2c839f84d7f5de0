import { ShardState } from '@pangalactic/contracts';
import { STATE_REPOSITORY } from '@pangalactic/state';
import { afterEach, describe, expect, it } from 'vitest';
import {
  closeAll,
  DEADLINE,
  PlayedNode,
  severableRepository,
  startHub,
  untilCluster,
  type SpecHub,
} from '../hub.fixture';

afterEach(closeAll);

const drain = (hub: SpecHub, nodeId: string, drained = true) =>
  hub.client.setNodeDrained({ nodeId, drained }, DEADLINE);

describe('a wish to drain a node', () => {
  it('is kept when the hub restarts, however often it is made, until it is taken back', async () => {
    const environment = { HUB_PIPELINE_STAGES: '1' };
    const first = await startHub({ environment });
    const a = await PlayedNode.join(first, 'a');
    await a.report((await a.next('load')).pipeline!.id, ShardState.SHARD_STATE_READY);
    await drain(first, 'a');
    await drain(first, 'a');
    expect(await (await fetch(`${first.url}/metrics`)).text()).toContain('pangalactic_hub_nodes_drained 1');
    const { nodes, pipelines } = await first.client.getCluster({}, DEADLINE);
    expect(nodes).toMatchObject([{ id: 'a', state: 'CONNECTED', drained: true }]);
    expect(pipelines).toMatchObject([{ state: 'READY' }]);
    await first.close();

    const second = await startHub({ environment, sqlitePath: first.sqlitePath });
    const again = await PlayedNode.join(second, 'a');
    const { deployments } = await untilCluster(second, (cluster) => cluster.pipelines.length === 0);
    expect(deployments[0]?.waitingFor).toContain('a is drained');
    expect(again.count('load')).toBe(0);
    await drain(second, 'a', false);
    await again.next('load');
  });

  it('is refused for a node that nobody knows', async () => {
    const hub = await startHub();
    await expect(drain(hub, 'ghost')).rejects.toMatchObject({
      code: 'not_found',
      message: 'no node "ghost" has registered',
    });
  });

  it('takes effect also when its caller cancels or runs out of time, and a bounded number of them waits', async () => {
    const { repository, sever } = await severableRepository();
    const hub = await startHub({ providers: [{ provide: STATE_REPOSITORY, useValue: repository }] });
    await PlayedNode.join(hub, 'a');
    await PlayedNode.join(hub, 'b', { address: '127.0.0.1:2' });
    await untilCluster(hub, ({ nodes }) => nodes.length === 2);
    sever(true);
    const leaving = new AbortController();
    const cancelled = hub.client.setNodeDrained(
      { nodeId: 'a', drained: true },
      { ...DEADLINE, signal: leaving.signal },
    );
    const late = hub.client.setNodeDrained({ nodeId: 'b', drained: true }, { deadlineMs: 200 });
    await expect(late).rejects.toMatchObject({ code: 'deadline_exceeded' });
    leaving.abort();
    await expect(cancelled).rejects.toMatchObject({ code: 'cancelled' });

    const waiting = Array.from({ length: 62 }, () => drain(hub, 'a'));
    await expect(drain(hub, 'a')).rejects.toMatchObject({ code: 'queue_full' });
    sever(false);
    await Promise.all(waiting);
    await untilCluster(hub, ({ nodes }) => nodes.every(({ drained }) => drained));
    await drain(hub, 'a', false);
  });
});
