import { makeGaugeProvider, makeHistogramProvider } from '@willsoto/nestjs-prometheus';

export const NODES = 'pangalactic_hub_nodes';
export const PIPELINES = 'pangalactic_hub_pipelines';
export const RECONCILE_DURATION = 'pangalactic_hub_reconcile_duration_seconds';
export const STATE_COMMIT_DURATION = 'pangalactic_hub_state_commit_duration_seconds';

const BUCKETS = [0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5];

export const METRIC_PROVIDERS = [
  makeGaugeProvider({ name: NODES, help: 'Nodes by state', labelNames: ['state'] }),
  makeGaugeProvider({ name: PIPELINES, help: 'Pipelines by state', labelNames: ['state'] }),
  makeHistogramProvider({
    name: RECONCILE_DURATION,
    help: 'Seconds to apply a batch of observations and decide what to do',
    buckets: BUCKETS,
  }),
  makeHistogramProvider({
    name: STATE_COMMIT_DURATION,
    help: 'Seconds to store a change of the cluster state, or to fail at it',
    buckets: BUCKETS,
  }),
];
