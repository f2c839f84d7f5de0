import { secretVariable } from './secret-variable';
import { oneOf } from './value-types';
import { variable } from './variable';

/** Level names of pino. */
const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** Variables that every process reads. */
export const SHARED_VARIABLES = {
  clusterToken: secretVariable(
    'PANGALACTIC_CLUSTER_TOKEN',
    '(empty: open)',
    'shared secret on every gRPC call of the cluster; of several the first is sent and all are accepted, to replace one without a gap',
  ),
  logLevel: variable('LOG_LEVEL', oneOf(...LOG_LEVELS), 'info', 'least severe level that is logged'),
};
