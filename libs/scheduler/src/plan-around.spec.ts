import { ShardState } from '@pangalactic/contracts';
import { describe, expect, it } from 'vitest';
import { viewCluster } from './cluster-view';
import { explainPlan } from './explain-plan';
import { usedSuspects, type Suspect } from './fault-memory';
import { planAround } from './plan-around';
import type { Candidate } from './plan-pipeline';
import { routes } from './routes';
import { modelInfo, SimulatedCluster } from './simulated-cluster.fixture';

const suspect = (...nodeIds: string[]): Suspect => ({ nodeIds, strikes: 2, lastAt: 0, reason: 'lost' });
const candidates = (ids: string, memoryBytes = 1e9): Candidate[] =>
  [...ids].map((nodeId) => ({ nodeId, address: `${nodeId}:1`, memoryBytes, usedBytes: 0 }));

describe('planAround', () => {
  it.each<[string, string, number, Suspect[], number]>([
    ['takes other nodes than those of a way', 'abc', 2, [suspect('a', 'b')], 0],
    ['takes another node', 'abc', 2, [suspect('a')], 0],
    ['another order, so that the way is between no neighbours', 'abcd', 4, [suspect('a', 'b')], 0],
    ['nor between tail and head', 'abcd', 4, [suspect('b', 'd')], 0],
    ['nor that with five', 'abcde', 5, [suspect('a', 'e'), suspect('b', 'd')], 0],
    ['from many nodes, too', 'abcdefghijklmnop', 3, [suspect('a', 'b'), suspect('b', 'c'), suspect('d')], 0],
    ['takes a suspect when there is no other', 'ab', 2, [suspect('a', 'b')], 1],
    ['as few of them as possible', 'abc', 3, [suspect('a', 'b')], 1],
    ['a node that is suspected, rather than none', 'a', 1, [suspect('a')], 1],
  ])('%s', (_case, ids, stages, suspects, used) => {
    const plan = planAround(modelInfo({ layers: 8 }), candidates(ids), { stages }, suspects);
    if ('reason' in plan) throw new Error(plan.reason);
    const nodeIds = plan.stages.map(({ nodeId }) => nodeId);
    expect(nodeIds).toHaveLength(stages);
    expect(usedSuspects(suspects, nodeIds)).toHaveLength(used);
  });

  it('says why there is no plan at all', () => {
    expect(planAround(modelInfo(), candidates('a', 1), { stages: 0 }, [suspect('a')])).toMatchObject({
      reason: expect.stringContaining('nano needs') as string,
    });
  });
});

const clusterOf = (stages: number, ids: string): SimulatedCluster => {
  const cluster = new SimulatedCluster({ models: ['nano'], stages });
  for (const id of ids) cluster.start(id);
  cluster.pass(20_000);
  return cluster;
};
const serving = (cluster: SimulatedCluster) =>
  routes(cluster.state).routes.map(({ pipeline }) => pipeline!.stages.map(({ nodeId }) => nodeId).join(''));

describe('a way that is cut between nodes which the hub hears', () => {
  it('is not planned again while there is another, and the pipeline is replaced at once', () => {
    const cluster = clusterOf(2, 'abc');
    expect(serving(cluster)).toEqual(['ab']);
    cluster.cut('a', 'b');
    expect(cluster.pipelines).toEqual({ READY: ['nano-1-2'] });
    expect(serving(cluster)).toEqual(['ac']);
    const [plan] = explainPlan(cluster.state);
    expect(plan!.avoided).toEqual([{ nodeIds: ['a', 'b'], reason: 'it cannot be reached', avoidedForMs: 30_000 }]);
    expect(plan!.leftOut).toEqual([{ nodeId: 'b', reason: 'a - b failed lately: it cannot be reached' }]);
  });

  it('is found out by a load that cannot cross it', () => {
    const cluster = new SimulatedCluster({ models: ['nano'], stages: 3 });
    cluster.cut('a', 'b');
    cluster.cut('b', 'c');
    for (const id of 'abcd') cluster.start(id);
    cluster.pass(10_000);
    expect(serving(cluster)).toEqual(['adc']);
  });

  it('is retried ever more slowly when there is no other, and serves again once it is healed', () => {
    const cluster = clusterOf(2, 'ab');
    cluster.cut('a', 'b');
    cluster.pass(300_000);
    expect(serving(cluster)).toEqual([]);
    expect(cluster.state.pipelinesPlanned).toBeLessThan(16);
    expect(viewCluster(cluster.state, cluster.now).deployments[0]!.waitingFor).toMatch(
      /^the next attempt in .* failed in a row, the last: stage 1 on b: it cannot be reached$/,
    );
    cluster.heal();
    cluster.pass(70_000);
    expect(serving(cluster)).toEqual(['ab']);
    expect(explainPlan(cluster.state)[0]!.avoided).toEqual([]);
  });
});

describe('a node', () => {
  it('that stands still gets no stage until it is heard again', () => {
    const cluster = clusterOf(2, 'abc');
    cluster.node('b').running = false; // SIGSTOP: its session stays open.
    cluster.breakPipeline('nano-1-1', 'a step had no result');
    expect(serving(cluster)).toEqual(['ac']);
    cluster.node('c').running = false;
    cluster.breakPipeline('nano-1-2', 'a step had no result');
    expect(cluster.pipelines.READY).toBeUndefined();
    cluster.node('b').running = true;
    cluster.report('b', 'nano-1-1', ShardState.SHARD_STATE_GONE);
    cluster.pass(1_000);
    expect(serving(cluster)).toEqual(['ab']);
  });

  it('that stands still without a stage gets none either, from half a heartbeat timeout on', () => {
    const cluster = clusterOf(1, 'ab');
    cluster.node('b').running = false;
    cluster.pass(10_000);
    expect(explainPlan(cluster.state)[0]!.leftOut).toEqual([
      { nodeId: 'b', reason: 'it has not been heard for 10.0 s' },
    ]);
    cluster.crash('a');
    expect(cluster.pipelines).toEqual({});
  });

  it('that cannot load is left out at once, one that failed while it served only when it does so again', () => {
    const failing = clusterOf(1, 'a');
    failing.start('b');
    failing.node('a').loadsFail = true;
    failing.breakPipeline('nano-1-1');
    failing.pass(5_000);
    expect(serving(failing)).toEqual(['b']);

    const poisoned = clusterOf(1, 'ab');
    for (const expected of ['a', 'b']) {
      poisoned.breakPipeline(poisoned.pipelines.READY![0]!);
      poisoned.pass(5_000);
      expect(serving(poisoned)).toEqual([expected]);
    }
  });
});
