import { describe, expect, it } from 'vitest';
import { explainPlan } from './explain-plan';
import { modelInfo, SimulatedCluster } from './simulated-cluster.fixture';

const clusterOf = (stages: number, decodeMs: Record<string, number>): SimulatedCluster => {
  const cluster = new SimulatedCluster({ models: ['nano'], stages });
  for (const id of Object.keys(decodeMs)) cluster.start(id);
  for (const [id, ms] of Object.entries(decodeMs)) cluster.node(id).decodeMs = ms;
  cluster.pass(5_000);
  return cluster;
};
const explained = (cluster: SimulatedCluster) => explainPlan(cluster.state)[0]!;

describe('explainPlan', () => {
  it('predicts the pipeline that serves from what its nodes measured', () => {
    const plan = explained(clusterOf(2, { a: 6, b: 2, c: 1 }));
    expect(plan).toMatchObject({ pipelineId: 'nano-1-1', reason: '', bottleneck: 0, contextLength: 256 });
    expect(plan.stages).toMatchObject([
      {
        nodeId: 'a',
        layers: { from: 0, to: 3 },
        computeMs: expect.closeTo(6, 9) as number,
        measured: true,
        weightBytes: 350_000,
      },
      {
        nodeId: 'b',
        layers: { from: 3, to: 6 },
        computeMs: expect.closeTo(2, 9) as number,
        measured: true,
        weightBytes: 360_000,
      },
    ]);
    const hops = plan.stages.reduce((sum, { hopMs }) => sum + hopMs, 0);
    expect(plan.tokensPerSecond).toBeCloseTo(1000 / (8 + hops), 9);
    expect(plan.busyTokensPerSecond).toBeCloseTo(1000 / 6, 9);
    expect(plan.leftOut).toEqual([{ nodeId: 'c', reason: expect.stringContaining('2 nodes are enough') as string }]);
  });

  it('says which stages are not measured', () => {
    const cluster = new SimulatedCluster({ models: ['nano'], stages: 0 });
    cluster.start('a');
    expect(explained(cluster).stages).toMatchObject([{ nodeId: 'a', measured: false, hopMs: 0 }]);
  });

  it('warns of hops that take longer than computing', () => {
    const cluster = clusterOf(2, { a: 1, b: 1 });
    expect(explained(cluster).warnings).toEqual([]);
    cluster.node('a').links = [{ nodeId: 'b', roundTripMs: 40, bytesPerSecond: 1e9 }];
    cluster.pass(5_000);
    expect(explained(cluster).warnings[0]).toMatch(
      /^hops take 40\.00 ms of a token, more than computing does \(2\.00 ms\)$/,
    );
  });

  it('says why each node is left out', () => {
    const cluster = clusterOf(0, { a: 1 });
    cluster.start('b', { models: [] });
    cluster.start('c', { models: [modelInfo({ fingerprint: 'f2' })] });
    cluster.start('d', { memoryBytes: 1 });
    cluster.start('e');
    cluster.kill('e');
    expect(explained(cluster).leftOut.map(({ nodeId, reason }) => `${nodeId}: ${reason}`)).toEqual([
      'b: it has no nano',
      'c: its nano has other weights',
      'd: not even one layer fits into the 0.0 MB that are free',
      'e: it is SUSPECT',
    ]);
  });

  it('says why there is no plan', () => {
    const plan = explained(clusterOf(2, { a: 1 }));
    expect(plan).toMatchObject({
      pipelineId: '',
      stages: [],
      reason: expect.stringContaining('2 stages need') as string,
    });
    expect(plan.leftOut).toEqual([{ nodeId: 'a', reason: '850.0 MB of it are free' }]);
  });
});
