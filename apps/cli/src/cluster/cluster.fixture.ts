import type { GetClusterResponse } from '@pangalactic/contracts';

/** Two connected nodes that serve one model, a third one that failed, and a model that nobody can serve. */
export const CLUSTER: GetClusterResponse = {
  clusterId: 'c0ffee',
  term: 3,
  nodes: [
    node('node-1', '10.0.0.1:7200', { usedBytes: 5 * 1024 ** 2 }),
    node('node-2', '10.0.0.2:7200', {
      simulated: true,
      computeType: 'cuda',
      rejected: [{ file: 'broken.gguf', reason: 'the file is truncated' }],
    }),
    node('node-3', '10.0.0.3:7200', { state: 'FAILED', drained: true, heartbeatAgeMs: 20_000 }),
  ],
  pipelines: [
    {
      pipeline: {
        id: 'p-2',
        modelId: 'nano',
        fingerprint: 'f',
        contextLength: 512,
        maxSequences: 8,
        stages: [
          { nodeId: 'node-1', address: '10.0.0.1:7200', layers: { from: 0, to: 5 }, memoryBytes: 1000 },
          { nodeId: 'node-2', address: '10.0.0.2:7200', layers: { from: 5, to: 8 }, memoryBytes: 2000 },
        ],
      },
      state: 'READY',
      reason: '',
      stageTimes: [],
    },
    {
      pipeline: {
        id: 'p-1',
        modelId: 'nano',
        fingerprint: 'f',
        contextLength: 512,
        maxSequences: 8,
        stages: [{ nodeId: 'node-3', address: '10.0.0.3:7200', layers: { from: 0, to: 8 }, memoryBytes: 1000 }],
      },
      state: 'GONE',
      reason: 'node-3 failed',
      stageTimes: [],
    },
  ],
  deployments: [
    { modelId: 'nano', waitingFor: '' },
    { modelId: 'giant', waitingFor: 'a node that has it' },
  ],
};

function node(id: string, address: string, rest: Partial<GetClusterResponse['nodes'][number]>) {
  return {
    id,
    address,
    state: 'CONNECTED',
    computeType: 'cpu',
    simulated: false,
    memoryBytes: 4 * 1024 ** 3,
    usedBytes: 0,
    heartbeatAgeMs: 1500,
    models: ['nano'],
    rejected: [],
    drained: false,
    ...rest,
  };
}
