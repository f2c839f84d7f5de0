import { counter, gauge } from './metric-definition';

/** Of every process, beside what prom-client says about any Node process. */
export const PROCESS_METRICS = {
  buildInfo: gauge('pangalactic_build_info', '1, with the version of the process and of Node as labels.', [
    ...(['process', 'version', 'node_version'] as const),
  ]),
  httpRequests: counter('pangalactic_http_requests_total', 'HTTP requests that have ended.', [
    ...(['method', 'route', 'status'] as const),
  ]),
};

/** Of every process that depends on the hub: nodes and gateways. */
export const HUB_CLIENT_METRICS = {
  hubConnected: gauge('pangalactic_hub_connected', '1 while the stream to the hub is open, else 0.'),
};
