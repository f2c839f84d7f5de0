import { beforeEach, describe, expect, it } from 'vitest';
import { ClusterFence } from './cluster-fence';

const registered = (clusterId: string, term: number) => ({ clusterId, term, heartbeatIntervalMs: 1_000 });

describe('ClusterFence', () => {
  let fence: ClusterFence;

  beforeEach(() => {
    fence = new ClusterFence();
    fence.register(registered('a', 3));
  });

  it.each([
    ['the same term', 'a', 3, false],
    ['a higher term', 'a', 4, false],
    ['another cluster, whatever its term', 'b', 1, true],
  ])('joins %s', (_case, clusterId, term, reset) => {
    expect(fence.register(registered(clusterId, term))).toEqual({ reset });
    expect([fence.clusterId, fence.term]).toEqual([clusterId, term]);
  });

  it('has nothing to forget at its first registration', () => {
    expect(new ClusterFence().register(registered('a', 1))).toEqual({ reset: false });
  });

  it('refuses a hub of a lower term', () => {
    expect(() => fence.register(registered('a', 2))).toThrow(expect.objectContaining({ code: 'stale_term' }));
    expect(fence.term).toBe(3);
  });

  it('admits commands of the same and of a higher term, which counts from then on', () => {
    fence.admit({ clusterId: 'a', term: 3 });
    fence.admit({ clusterId: 'a', term: 5 });
    expect(() => fence.admit({ clusterId: 'a', term: 4 })).toThrow(
      'command with term 4: this node obeys cluster "a" from term 5',
    );
  });

  it('refuses commands of another cluster', () => {
    expect(() => fence.admit({ clusterId: 'b', term: 9 })).toThrow(expect.objectContaining({ code: 'stale_term' }));
  });
});
