import { loadNodeConfig, type NodeConfig } from '@pangalactic/config';
import type { ProcessSettings } from '@pangalactic/lifecycle';
import { NodeModule } from './node.module';

export const NODE_PROCESS: ProcessSettings<NodeConfig> = {
  name: 'node',
  loadConfig: () => loadNodeConfig(),
  createModule: (config) => NodeModule.forRoot(config),
  http: ({ httpAddress }) => ({ address: httpAddress, variable: 'NODE_HTTP_ADDR', forceCloseConnections: true }),
  grpc: ({ bindAddress, clusterToken }) => ({
    address: bindAddress,
    variable: 'NODE_BIND_ADDR',
    services: ['NodeService'],
    clusterToken,
  }),
  drain: ({ drainTimeoutMs }) => ({ deadlineMs: drainTimeoutMs }),
};
