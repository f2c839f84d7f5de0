import { secretVariable } from './secret-variable';
import { SHARED_VARIABLES } from './shared-variables';
import { dialAddresses, integer, listenAddress, seconds } from './value-types';
import { loadConfig, variable } from './variable';
import type { ConfigOf, Environment } from './variable';

export const GATEWAY_VARIABLES = {
  bindAddress: variable('GATEWAY_BIND_ADDR', listenAddress, '0.0.0.0:8080', 'HTTP listen address'),
  hubAddresses: variable(
    'GATEWAY_HUB_ADDR',
    dialAddresses,
    'localhost:7100',
    'gRPC address of the hub; with several hubs, of each',
  ),
  apiKey: secretVariable(
    'GATEWAY_API_KEY',
    '(empty: no authentication)',
    'bearer token that clients present; of several each is accepted, and has a rate limit of its own',
  ),
  /** 0: no limit. */
  rateLimitPerMinute: variable(
    'GATEWAY_RATE_LIMIT_RPM',
    integer({ min: 0, max: 1_000_000 }),
    '0',
    'requests per minute of each key, or of each client address where no key is asked for, over all gateways together; 0 disables the limit',
  ),
  queueTimeoutMs: variable(
    'GATEWAY_QUEUE_TIMEOUT_S',
    seconds({ min: 0, max: 3600 }),
    '10',
    'seconds (at least 1) that a request waits for a pipeline and a free place on it, up to three times that when the model will be loaded by then; when 64 wait there already it gets 503 at once',
  ),
  resumeTimeoutMs: variable(
    'GATEWAY_RESUME_TIMEOUT_S',
    seconds({ min: 1, max: 3600 }),
    '60',
    'seconds that a completion which lost its pipeline waits for a place on another before it ends with an error',
  ),
  drainDelayMs: variable(
    'GATEWAY_DRAIN_DELAY_S',
    seconds({ min: 0, max: 60 }),
    '0',
    'seconds after SIGTERM in which new connections are still accepted, while /readyz says 503 so that load balancers choose others',
  ),
  ...SHARED_VARIABLES,
};

export type GatewayConfig = ConfigOf<typeof GATEWAY_VARIABLES>;
export const GATEWAY_CONFIG = Symbol('GatewayConfig');

export function loadGatewayConfig(environment: Environment = process.env): GatewayConfig {
  return loadConfig(GATEWAY_VARIABLES, environment);
}
