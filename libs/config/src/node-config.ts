import { availableCores } from './available-cores';
import { SHARED_VARIABLES } from './shared-variables';
import {
  dialAddress,
  dialAddresses,
  gigabytes,
  integer,
  listenAddress,
  nodeId,
  oneOf,
  path,
  seconds,
} from './value-types';
import { derived, loadConfig, variable } from './variable';
import type { ConfigOf, Environment } from './variable';

export const NODE_VARIABLES = {
  hubAddresses: variable(
    'NODE_HUB_ADDR',
    dialAddresses,
    'localhost:7100',
    'gRPC address of the hub; with several hubs, of each',
  ),
  /** Undefined: the node takes the host name at its first start and keeps it. */
  nodeId: derived('NODE_ID', nodeId, 'host name, kept across restarts', 'stable identity of the node'),
  bindAddress: variable('NODE_BIND_ADDR', listenAddress, '0.0.0.0:7200', "gRPC listen address of the node's stages"),
  /** Undefined: the node derives it from the bind address and the route to the hub. */
  advertiseAddress: derived(
    'NODE_ADVERTISE_ADDR',
    dialAddress,
    'derived',
    'address that other nodes and gateways dial',
  ),
  httpAddress: variable('NODE_HTTP_ADDR', listenAddress, '0.0.0.0:7201', 'health and metrics over HTTP'),
  gpuComputeType: variable(
    'NODE_GPU_COMPUTE_TYPE',
    oneOf('cuda', 'rocm', 'metal', 'cpu'),
    'cuda',
    'what the engine computes on',
  ),
  /** 0: no simulation. */
  simulatedVramBytes: variable(
    'NODE_SIMULATED_VRAM_GB',
    gigabytes({ min: 0, max: 1_048_576 }),
    '0',
    'non-zero enables a simulated GPU with this much memory (development)',
  ),
  inferenceBackend: variable(
    'NODE_INFERENCE_BACKEND',
    oneOf('transformers', 'mock'),
    'transformers',
    'real inference, or deterministic tokens without weights',
  ),
  modelDirectory: variable(
    'NODE_MODEL_DIR',
    path,
    './models',
    'directory with models: <dir>/<id>/*.gguf or <dir>/<id>.gguf',
  ),
  cacheDirectory: variable(
    'NODE_CACHE_DIR',
    path,
    './data/cache',
    'directory of packed weights: those in use and up to 16 GiB of others',
  ),
  threads: derived(
    'NODE_THREADS',
    integer({ min: 1, max: 1024 }),
    'cores available',
    'intra-op threads of the engine',
    availableCores,
  ),
  activationFormat: variable(
    'NODE_ACTIVATION_FORMAT',
    oneOf('f32', 'f16', 'int8'),
    'f32',
    'least precise format in which hidden states may travel between stages; a pipeline takes the most precise of its nodes',
  ),
  drainTimeoutMs: variable(
    'NODE_DRAIN_TIMEOUT_S',
    seconds({ min: 0, max: 86_400 }),
    '110',
    'seconds that running requests get to finish after SIGTERM',
  ),
  ...SHARED_VARIABLES,
};

export type NodeConfig = ConfigOf<typeof NODE_VARIABLES>;
export type GpuComputeType = NodeConfig['gpuComputeType'];
export const NODE_CONFIG = Symbol('NodeConfig');

export function loadNodeConfig(environment: Environment = process.env): NodeConfig {
  return loadConfig(NODE_VARIABLES, environment);
}
