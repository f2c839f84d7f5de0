import { loadHubConfig, type HubConfig } from '@pangalactic/config';
import type { ProcessSettings } from '@pangalactic/lifecycle';
import { HubModule } from './hub.module';

export const HUB_PROCESS: ProcessSettings<HubConfig> = {
  name: 'hub',
  loadConfig: loadHubConfig,
  createModule: (config) => HubModule.forRoot(config),
  http: (config) => ({ address: config.httpAddress, variable: 'HUB_HTTP_ADDR', forceCloseConnections: true }),
  grpc: (config) => ({
    address: config.bindAddress,
    variable: 'HUB_BIND_ADDR',
    services: ['HubService'],
    clusterToken: config.clusterToken,
  }),
};
