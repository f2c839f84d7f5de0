import { restoreCluster, type ClusterState, type Pipeline } from '@pangalactic/scheduler';
import { afterEach, describe, expect, it } from 'vitest';
import { closeAll, NANO_DEPLOYMENT, startHub, watchRoutes } from '../hub.fixture';
import { RouteTable } from './route-table';

afterEach(closeAll);

const waits = { timeout: 10_000, interval: 10 };

/** A cluster with one READY pipeline of that id, `kilobytes` large on the wire. */
function clusterWith(id: string, kilobytes = 0): ClusterState {
  const address = `${'h'.repeat(kilobytes * 1_000)}:7200`;
  const node = { id: 'a', address, computeType: 'cpu', simulated: false, memoryBytes: 1, version: '1' };
  const stages = [{ nodeId: 'a', address, layers: { from: 0, to: 6 }, memoryBytes: 1 }];
  const spec = { id, modelId: 'nano', fingerprint: 'f', stages, contextLength: 256, maxSequences: 8 };
  const pipeline: Pipeline = { spec, state: 'READY', since: 0, reason: '' };
  const settings = { term: 1, heartbeatTimeoutMs: 1_000, wanted: { models: ['nano'], stages: 0 } };
  return restoreCluster({ nodes: [node], deployments: [NANO_DEPLOYMENT], pipelines: [pipeline] }, settings, 0);
}

describe('watched routes', () => {
  it('come at once and after each change, and not when nothing has changed', async () => {
    const hub = await startHub();
    const table = hub.app.get(RouteTable);
    const { tables } = watchRoutes(hub);
    await expect.poll(() => tables.length, waits).toBe(1);
    for (const id of ['p1', 'p1', 'p2']) {
      table.publish(clusterWith(id));
      await expect.poll(() => tables.at(-1)?.routes[0]?.pipeline?.id, waits).toBe(id);
    }
    expect(tables.map(({ routes }) => routes[0]?.pipeline?.id)).toEqual([undefined, 'p1', 'p2']);
  });

  it('skip what a slow reader has missed, and end with what is current', async () => {
    const hub = await startHub();
    const table = hub.app.get(RouteTable);
    const stream = hub.client.watchRoutes({});
    await stream.next();
    const changes = 3_000;
    const heapBefore = process.memoryUsage().heapUsed;
    for (let change = 1; change <= changes; change++) {
      table.publish(clusterWith(`p${change}`, 20));
      // Lets the server write what it would.
      if (change % 10 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    expect(process.memoryUsage().heapUsed - heapBefore).toBeLessThan(40e6);
    let taken = 0;
    let last: string | undefined;
    for await (const { routes } of stream) {
      taken += 1;
      last = routes[0]?.pipeline?.id;
      if (last === `p${changes}`) break;
    }
    expect(last).toBe(`p${changes}`);
    expect(taken).toBeLessThan(200);
  });

  it('forget a reader that cancels, whose deadline passes or that the hub leaves', async () => {
    const hub = await startHub();
    const table = hub.app.get(RouteTable);
    const watch = watchRoutes(hub);
    await expect.poll(() => watch.tables.length, waits).toBe(1);
    expect(table.watcherCount).toBe(1);
    watch.stop();
    await expect.poll(() => table.watcherCount, waits).toBe(0);

    const late = hub.client.watchRoutes({}, { deadlineMs: 200 });
    await late.next();
    await expect(late.next()).rejects.toMatchObject({ code: 'deadline_exceeded' });
    await expect.poll(() => table.watcherCount, waits).toBe(0);

    const left = hub.client.watchRoutes({});
    await left.next();
    const [, end] = await Promise.all([hub.close(), left.next().catch((error: unknown) => error)]);
    expect(end).toMatchObject({ code: 'service_unavailable' });
    expect(table.watcherCount).toBe(0);
  });
});
