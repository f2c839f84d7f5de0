import { oneOf, secret } from './value-types';
import { derived, variable } from './variable';

/** Level names of pino. */
const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** Variables that every process reads. */
export const SHARED_VARIABLES = {
  clusterToken: derived(
    'PANGALACTIC_CLUSTER_TOKEN',
    secret,
    '(empty: open)',
    'shared secret on every gRPC call of the cluster',
  ),
  logLevel: variable('LOG_LEVEL', oneOf(...LOG_LEVELS), 'info', 'least severe level that is logged'),
};
