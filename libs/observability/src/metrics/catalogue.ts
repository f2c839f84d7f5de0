import { GATEWAY_METRICS } from './gateway-metrics';
import { HUB_METRICS } from './hub-metrics';
import type { MetricDefinition } from './metric-definition';
import { NODE_METRICS } from './node-metrics';
import { HUB_CLIENT_METRICS, PROCESS_METRICS } from './process-metrics';

export type MetricOwner = 'every process' | 'nodes and gateways' | 'gateway' | 'node' | 'hub';

export interface CataloguedMetric extends MetricDefinition {
  readonly owner: MetricOwner;
}

/** Every metric of ours once: the source of docs/metrics.md, and what alerts and dashboards may ask for. */
export const METRIC_CATALOGUE: readonly CataloguedMetric[] = [
  ...owned('every process', PROCESS_METRICS),
  ...owned('nodes and gateways', HUB_CLIENT_METRICS),
  ...owned('gateway', GATEWAY_METRICS),
  ...owned('node', NODE_METRICS),
  ...owned('hub', HUB_METRICS),
];

function owned(owner: MetricOwner, definitions: Readonly<Record<string, MetricDefinition>>): CataloguedMetric[] {
  return Object.entries(definitions)
    .filter(([key]) => owner === 'nodes and gateways' || !Object.hasOwn(HUB_CLIENT_METRICS, key))
    .map(([, definition]) => ({ ...definition, owner }));
}
