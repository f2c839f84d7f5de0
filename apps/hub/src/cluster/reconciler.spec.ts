import { STATE_REPOSITORY, type StateRepository } from '@pangalactic/state';
import { afterEach, describe, expect, it } from 'vitest';
import { closeAll, DEADLINE, PlayedNode, severableRepository, startHub, untilCluster } from '../hub.fixture';
import { FATAL_HANDLER } from './fatal-handler';
import { Reconciler } from './reconciler';

afterEach(closeAll);

const waits = { timeout: 10_000, interval: 10 };

describe('the reconciler', () => {
  it('does nothing that is not stored, says so, and goes on when it can store again', async () => {
    const { repository, sever } = await severableRepository();
    const providers = [{ provide: STATE_REPOSITORY, useValue: repository }];
    const hub = await startHub({ providers, environment: { HUB_PIPELINE_STAGES: '1' } });
    sever(true);
    const node = await PlayedNode.join(hub, 'a');
    const refused = await fetch(`${hub.url}/readyz`);
    expect([refused.status, await refused.text()]).toEqual([
      503,
      '{"ready": false, "reasons": ["state: disk is full"]}',
    ]);
    expect((await hub.client.getCluster({}, DEADLINE)).nodes).toEqual([]);
    expect(node.count('load')).toBe(0);
    sever(false);
    await node.next('load');
    expect((await fetch(`${hub.url}/readyz`)).status).toBe(200);
    expect((await repository.list('')).entries.map(({ key }) => key)).toEqual([
      'deployments',
      'nodes/a',
      'pipelines/nano-1-1',
    ]);
  });

  it('stores in one commit what comes in one turn of the event loop', async () => {
    const hub = await startHub();
    const repository = hub.app.get<StateRepository>(STATE_REPOSITORY);
    const { revision } = await repository.list('');
    const taken: Promise<void>[] = [];
    for (const modelId of ['a', 'b', 'c']) {
      const spec = { modelId, replicas: 1, stages: 0, pins: [] };
      taken.push(hub.app.get(Reconciler).submit({ kind: 'deploy', at: 0, spec }));
      // As between two messages of the same turn.
      await new Promise<void>((resolve) => process.nextTick(resolve));
    }
    await Promise.all(taken);
    expect((await repository.list('')).revision).toBe(revision + 1);
  });

  it('stops cleanly while it cannot store', async () => {
    const { repository, sever } = await severableRepository();
    const hub = await startHub({ providers: [{ provide: STATE_REPOSITORY, useValue: repository }] });
    sever(true);
    const node = await PlayedNode.join(hub, 'a');
    await hub.close();
    await expect.poll(() => node.ended, waits).toMatchObject({ code: 'service_unavailable' });
  });

  it('gives up when another hub has taken the lead', async () => {
    const failures: unknown[] = [];
    const { real, repository } = await severableRepository();
    const overtaken = async () => {
      const leadership = await real.lead();
      await leadership.resign();
      await real.lead();
      return leadership;
    };
    const providers = [
      { provide: FATAL_HANDLER, useValue: (error: unknown) => failures.push(error) },
      { provide: STATE_REPOSITORY, useValue: { ...repository, lead: overtaken } },
    ];
    const hub = await startHub({ providers });
    const node = await PlayedNode.join(hub, 'a');
    await expect
      .poll(() => failures, waits)
      .toMatchObject([{ code: 'state_conflict', message: 'term 1 is over: another hub has taken the lead' }]);
    expect(node.count('load')).toBe(0);
  });

  it('writes nothing for heartbeats', async () => {
    const hub = await startHub({ environment: { HUB_HEARTBEAT_TIMEOUT_S: '0.5' } });
    await PlayedNode.join(hub, 'a');
    await untilCluster(hub, ({ nodes }) => nodes[0]?.state === 'CONNECTED');
    const repository = hub.app.get<StateRepository>(STATE_REPOSITORY);
    const { revision } = await repository.list('');
    const seen: number[] = [];
    await untilCluster(hub, ({ nodes }) => {
      const age = nodes[0]!.heartbeatAgeMs;
      if (seen.length === 0 || age < seen.at(-1)!) seen.push(age);
      else seen[seen.length - 1] = age;
      return seen.length > 4;
    });
    expect((await repository.list('')).revision).toBe(revision);
  });
});
