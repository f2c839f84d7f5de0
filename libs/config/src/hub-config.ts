import { SHARED_VARIABLES } from './shared-variables';
import {
  boolean,
  dialAddress,
  etcdPrefix,
  httpUrls,
  integer,
  listenAddress,
  modelIds,
  oneOf,
  path,
  seconds,
  secret,
  word,
} from './value-types';
import { derived, loadConfig, variable } from './variable';
import type { ConfigOf, Environment } from './variable';

export const HUB_VARIABLES = {
  bindAddress: variable('HUB_BIND_ADDR', listenAddress, '0.0.0.0:7100', 'gRPC listen address'),
  advertiseAddress: derived(
    'HUB_ADVERTISE_ADDR',
    dialAddress,
    'derived',
    'address at which nodes and other hubs reach this hub; matters with etcd',
  ),
  httpAddress: variable('HUB_HTTP_ADDR', listenAddress, '0.0.0.0:7101', 'health and metrics over HTTP'),
  stateBackend: variable('HUB_STATE_BACKEND', oneOf('sqlite', 'etcd'), 'sqlite', 'where the hub keeps its state'),
  sqlitePath: variable('HUB_SQLITE_PATH', path, './data/hub.db', 'SQLite file; its folder is created'),
  etcdEndpoints: variable(
    'HUB_ETCD_ENDPOINTS',
    httpUrls,
    'http://localhost:2379',
    'etcd endpoints, separated by commas',
  ),
  etcdPrefix: variable('HUB_ETCD_PREFIX', etcdPrefix, '/pangalactic/', 'what all keys of this cluster begin with'),
  etcdUsername: derived('HUB_ETCD_USERNAME', word, '(empty: no authentication)', 'etcd user'),
  etcdPassword: derived('HUB_ETCD_PASSWORD', secret, '(empty)', 'password of the etcd user'),
  etcdCaFile: derived(
    'HUB_ETCD_CA_FILE',
    path,
    '(empty: what Node trusts)',
    'PEM file with the CA of the etcd members',
  ),
  etcdCertFile: derived('HUB_ETCD_CERT_FILE', path, '(empty)', "PEM file with this hub's client certificate"),
  etcdKeyFile: derived('HUB_ETCD_KEY_FILE', path, '(empty)', 'PEM file with the key of that certificate'),
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
  autoload: variable(
    'HUB_AUTOLOAD',
    boolean,
    'true',
    'whether a model that nodes hold is loaded when a client first asks for it',
  ),
  ...SHARED_VARIABLES,
};

export type HubConfig = ConfigOf<typeof HUB_VARIABLES>;
export const HUB_CONFIG = Symbol('HubConfig');

export function loadHubConfig(environment: Environment = process.env): HubConfig {
  return loadConfig(HUB_VARIABLES, environment);
}
