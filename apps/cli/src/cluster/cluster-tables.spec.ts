import { describe, expect, it } from 'vitest';
import { clusterReport } from './cluster-report';
import { formatBytes, statusText, topologyTable } from './cluster-tables';
import { CLUSTER } from './cluster.fixture';

const EMPTY = { clusterId: 'c', term: 1, nodes: [], pipelines: [], deployments: [] };

describe('topologyTable', () => {
  it('has node, address, state, layers and memory of every node', () => {
    const lines = topologyTable(clusterReport(CLUSTER)).split('\n');
    const cells = lines
      .filter((line) => line.includes('10.0.0.'))
      .map((line) => line.split('│').map((cell) => cell.trim()));
    expect(cells).toEqual([
      ['', 'node-1', '10.0.0.1:7200', 'CONNECTED', 'nano [0, 5)', '5.0 MiB of 4.0 GiB', ''],
      ['', 'node-2', '10.0.0.2:7200', 'CONNECTED', 'nano [5, 8)', '0 B of 4.0 GiB', ''],
      ['', 'node-3', '10.0.0.3:7200', 'FAILED, drained', '-', '0 B of 4.0 GiB', ''],
    ]);
  });

  it('names the state of a pipeline that is not ready', () => {
    const pipelines = CLUSTER.pipelines.map((pipeline) => ({ ...pipeline, state: 'LOADING' }));
    expect(topologyTable(clusterReport({ ...CLUSTER, pipelines }))).toContain('nano [0, 5) LOADING');
  });

  it('says so when there is no node', () => {
    expect(topologyTable(clusterReport(EMPTY))).toBe('no node has registered');
  });
});

describe('statusText', () => {
  const text = statusText(clusterReport(CLUSTER));

  it.each(['cluster c0ffee, term 3', 'cuda (simulated)', '20.0 s ago', 'node-1 [0, 5)', 'p-2', 'FAILED, drained'])(
    'has %s',
    (part) => {
      expect(text).toContain(part);
    },
  );

  it('tells what is wrong', () => {
    expect(text).toContain('giant waits for a node that has it');
    expect(text).toContain('node-2 rejects broken.gguf: the file is truncated');
    expect(text).not.toContain('nano waits');
  });
});

describe('formatBytes', () => {
  it.each([
    [0, '0 B'],
    [1023, '1023 B'],
    [1024, '1.0 KiB'],
    [1.5 * 1024 ** 2, '1.5 MiB'],
    [150 * 1024 ** 3, '150 GiB'],
    [3 * 1024 ** 5, '3072 TiB'],
  ])('%d bytes are %s', (bytes, text) => expect(formatBytes(bytes)).toBe(text));
});
