import { describe, expect, it } from 'vitest';
import { clusterReport } from './cluster-report';
import { CLUSTER } from './cluster.fixture';

describe('clusterReport', () => {
  const report = clusterReport(CLUSTER);

  it('lists each node with its shards', () => {
    expect(report.nodes.map(({ node, state, shards }) => ({ node, state, shards }))).toEqual([
      {
        node: 'node-1',
        state: 'CONNECTED',
        shards: [{ pipeline: 'p-2', model: 'nano', state: 'READY', stage: 0, layers: [0, 5] }],
      },
      {
        node: 'node-2',
        state: 'CONNECTED',
        shards: [{ pipeline: 'p-2', model: 'nano', state: 'READY', stage: 1, layers: [5, 8] }],
      },
      { node: 'node-3', state: 'FAILED', shards: [] },
    ]);
  });

  it('says which nodes are drained', () => {
    expect(report.nodes.filter(({ drained }) => drained).map(({ node }) => node)).toEqual(['node-3']);
  });

  it('leaves out pipelines that are gone', () => {
    expect(report.pipelines.map(({ pipeline }) => pipeline)).toEqual(['p-2']);
  });

  it('says null, not an empty text, where there is nothing to say', () => {
    expect(report.pipelines[0]?.reason).toBeNull();
    expect(report.deployments).toEqual([
      { model: 'nano', waiting_for: null },
      { model: 'giant', waiting_for: 'a node that has it' },
    ]);
  });
});
