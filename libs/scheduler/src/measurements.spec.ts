import { describe, expect, it } from 'vitest';
import { workBytes } from './cost-model';
import { linksOf } from './measurements';
import { modelInfo, SimulatedCluster } from './simulated-cluster.fixture';

const pair = (): SimulatedCluster => {
  const cluster = new SimulatedCluster({ models: ['nano'], stages: 2 });
  cluster.start('a');
  cluster.start('b');
  return cluster;
};
const nodesOf = (cluster: SimulatedCluster, id: string) =>
  cluster.state.pipelines.get(id)!.spec.stages.map(({ nodeId }) => nodeId);

describe('measurements', () => {
  it('P8: follow each heartbeat, per byte of the weights that the stage computes with', () => {
    const cluster = pair();
    const head = workBytes(modelInfo(), { from: 0, to: 3 });
    for (const decodeMs of [3, 5]) {
      cluster.node('a').decodeMs = decodeMs;
      cluster.pass(5_000);
      expect(cluster.state.nodes.get('a')?.speeds.get('f1')?.decodeMsPerByte).toBe(decodeMs / head);
    }
  });

  it('outlive the pipeline and the session, so that the next plan leaves the slow node out', () => {
    const cluster = pair();
    cluster.node('b').decodeMs = 50;
    cluster.pass(20_000);
    cluster.disconnect('b');
    cluster.register('b');
    cluster.start('c');
    cluster.breakPipeline('nano-1-1');
    expect(nodesOf(cluster, 'nano-1-2')).not.toContain('b');
  });

  it('ignore what is no time', () => {
    const cluster = pair();
    cluster.node('a').decodeMs = 0;
    cluster.node('b').decodeMs = NaN;
    cluster.node('b').links = [{ nodeId: 'a', roundTripMs: -1, bytesPerSecond: 1 }];
    cluster.pass(5_000);
    for (const { speeds, links } of cluster.state.nodes.values()) expect([speeds.size, links.size]).toEqual([0, 0]);
  });

  it('hold for both ways of a link', () => {
    const cluster = pair();
    cluster.node('a').links = [{ nodeId: 'b', roundTripMs: 7, bytesPerSecond: 2e6 }];
    cluster.pass(5_000);
    const between = linksOf(cluster.state.nodes);
    expect([between('a', 'b'), between('b', 'a')]).toEqual(Array(2).fill({ rttMs: 7, bytesPerMs: 2_000 }));
  });

  it('move nothing that is healthy', () => {
    const cluster = pair();
    cluster.start('c');
    cluster.node('a').decodeMs = 50;
    const commands = cluster.commands.length;
    cluster.pass(60_000);
    expect(cluster.commands).toHaveLength(commands);
  });
});

describe('a repair', () => {
  it('prefers the node that has the layers, to one that would load them', () => {
    const cluster = new SimulatedCluster({ models: ['nano'], stages: 1 });
    cluster.start('b');
    cluster.pass(20_000);
    cluster.start('a');
    cluster.breakPipeline('nano-1-1');
    expect(nodesOf(cluster, 'nano-1-2')).toEqual(['b']);
  });
});
