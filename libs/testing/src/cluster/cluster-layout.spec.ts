import { loadGatewayConfig, loadHubConfig, loadNodeConfig } from '@pangalactic/config';
import { describe, expect, it } from 'vitest';
import { clusterLayout } from './cluster-layout';

const layout = clusterLayout({
  ports: {
    hub: 7100,
    hubHttp: 7101,
    gateway: 8080,
    nodes: [
      { grpc: 7200, http: 7201 },
      { grpc: 7202, http: 7203 },
    ],
  },
  model: 'some-model',
  modelDirectory: '/models',
  stages: 2,
  folder: '/logs',
  cacheDirectory: '/cache',
  env: { node: { NODE_THREADS: '1' }, hub: { HUB_HEARTBEAT_TIMEOUT_S: '2' } },
});

describe('clusterLayout', () => {
  it('gives every process a configuration that it accepts', () => {
    const hub = loadHubConfig(layout.hub.env);
    expect(hub).toMatchObject({ models: ['some-model'], pipelineStages: 2, heartbeatTimeoutMs: 2000 });
    const gateway = loadGatewayConfig(layout.gateway.env);
    expect(gateway.hubAddresses).toEqual([hub.bindAddress]);
    for (const spec of layout.nodes) {
      const node = loadNodeConfig(spec.env);
      expect(node).toMatchObject({ nodeId: spec.name, gpuComputeType: 'cpu', threads: 1, modelDirectory: '/models' });
      expect(node.hubAddresses).toEqual([hub.bindAddress]);
      expect(node.advertiseAddress).toEqual(node.bindAddress);
    }
  });

  it('shares neither ports nor folders between nodes', () => {
    const [first, second] = layout.nodes.map((spec) => loadNodeConfig(spec.env));
    expect(first?.bindAddress).not.toEqual(second?.bindAddress);
    expect(first?.httpAddress).not.toEqual(second?.httpAddress);
    expect(first?.cacheDirectory).not.toBe(second?.cacheDirectory);
  });

  it('says where each process answers over HTTP', () => {
    expect(Object.fromEntries(layout.urls)).toEqual({
      hub: 'http://127.0.0.1:7101',
      gateway: 'http://127.0.0.1:8080',
      'node-1': 'http://127.0.0.1:7201',
      'node-2': 'http://127.0.0.1:7203',
    });
  });
});
