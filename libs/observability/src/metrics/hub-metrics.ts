import { counter, gauge, histogram } from './metric-definition';

const BUCKETS_SECONDS = [0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5];

const BY_STATE_OPERATION = ['backend', 'operation'] as const;

export const HUB_METRICS = {
  leader: gauge('pangalactic_hub_leader', '1 in the hub that leads, 0 in a standby.'),
  term: gauge('pangalactic_hub_term', 'Term of the leadership, in the hub that leads; rises with every change.'),
  nodes: gauge('pangalactic_hub_nodes', 'Nodes; at the leader as it sees them, at a standby as stored.', ['state']),
  drainedNodes: gauge('pangalactic_hub_nodes_drained', 'Nodes that an operator has drained, whatever their state.'),
  pipelines: gauge(
    'pangalactic_hub_pipelines',
    'Pipelines of each model; none counts as 0 for models that the configuration or an operator wants.',
    ['model', 'state'],
  ),
  events: counter('pangalactic_hub_events_total', 'Changes of nodes, pipelines and deployments, as logged.', ['event']),
  heartbeats: counter('pangalactic_hub_heartbeats_total', 'Heartbeats received from nodes.'),
  oldestHeartbeat: gauge(
    'pangalactic_hub_oldest_heartbeat_seconds',
    'Time since the last message of the open session that has been silent longest; 0 without sessions.',
  ),
  routeWatchers: gauge('pangalactic_hub_route_watchers', 'Gateways (and others) that watch the routes at this hub.'),
  reconcileDuration: histogram(
    'pangalactic_hub_reconcile_duration_seconds',
    'Time to apply a batch of observations and decide what to do.',
    BUCKETS_SECONDS,
  ),
  planDuration: histogram(
    'pangalactic_hub_plan_duration_seconds',
    'Time of those of these rounds that placed a pipeline.',
    BUCKETS_SECONDS,
  ),
  stateDuration: histogram(
    'pangalactic_hub_state_operation_duration_seconds',
    'Time of an operation of the state repository, also of one that failed.',
    BUCKETS_SECONDS,
    BY_STATE_OPERATION,
  ),
  stateErrors: counter(
    'pangalactic_hub_state_operation_errors_total',
    'Operations of the state repository that failed.',
    [...BY_STATE_OPERATION, ...(['code'] as const)],
  ),
};
