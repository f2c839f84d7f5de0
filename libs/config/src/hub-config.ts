import { SHARED_VARIABLES } from './shared-variables';
import { httpUrls, integer, listenAddress, modelIds, oneOf, path, seconds } from './value-types';
import { loadConfig, variable } from './variable';
import type { ConfigOf, Environment } from './variable';

export const HUB_VARIABLES = {
  bindAddress: variable('HUB_BIND_ADDR', listenAddress, '0.0.0.0:7100', 'gRPC listen address'),
  httpAddress: variable('HUB_HTTP_ADDR', listenAddress, '0.0.0.0:7101', 'health and metrics over HTTP'),
  stateBackend: variable('HUB_STATE_BACKEND', oneOf('sqlite', 'etcd'), 'sqlite', 'where the hub keeps its state'),
  sqlitePath: variable('HUB_SQLITE_PATH', path, './data/hub.db', 'SQLite file; its folder is created'),
  etcdEndpoints: variable(
    'HUB_ETCD_ENDPOINTS',
    httpUrls,
    'http://localhost:2379',
    'etcd endpoints, separated by commas',
  ),
  heartbeatTimeoutMs: variable(
    'HUB_HEARTBEAT_TIMEOUT_S',
    seconds({ min: 0.5, max: 3600 }),
    '15',
    'seconds of silence before a node is marked FAILED',
  ),
  pipelineStages: variable(
    'HUB_PIPELINE_STAGES',
    integer({ min: 0, max: 1024 }),
    '0',
    'stages per pipeline; 0 lets the planner decide',
  ),
  models: variable(
    'HUB_MODELS',
    modelIds,
    'pangalactic-nano',
    'models deployed as soon as a node reports them, separated by commas',
  ),
  ...SHARED_VARIABLES,
};

export type HubConfig = ConfigOf<typeof HUB_VARIABLES>;
export const HUB_CONFIG = Symbol('HubConfig');

export function loadHubConfig(environment: Environment = process.env): HubConfig {
  return loadConfig(HUB_VARIABLES, environment);
}
