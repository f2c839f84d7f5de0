import { DOWNLOAD_VARIABLES } from './cli-config';
import { GATEWAY_VARIABLES } from './gateway-config';
import { HUB_VARIABLES } from './hub-config';
import { NODE_VARIABLES } from './node-config';
import type { SecretVariable } from './secret-variable';
import { SHARED_VARIABLES } from './shared-variables';
import type { Variables } from './variable';

export interface VariableRow {
  readonly variable: string;
  readonly process: 'hub' | 'node' | 'gateway' | 'cli' | 'all';
  readonly default: string;
  readonly meaning: string;
  readonly allowed: string;
}

/** Every variable once: the source of docs/configuration.md. */
export const VARIABLE_TABLE: readonly VariableRow[] = [
  ...rowsOf('hub', HUB_VARIABLES),
  ...rowsOf('node', NODE_VARIABLES),
  ...rowsOf('gateway', GATEWAY_VARIABLES),
  ...rowsOf('cli', DOWNLOAD_VARIABLES),
  ...rowsOf('all', SHARED_VARIABLES),
];

function rowsOf(process: VariableRow['process'], variables: Variables): VariableRow[] {
  return Object.entries(variables)
    .filter(([key]) => process === 'all' || !Object.hasOwn(SHARED_VARIABLES, key))
    .flatMap(([, variable]) => ('file' in variable ? [variable, (variable as SecretVariable).file] : [variable]))
    .map(({ name, type, defaultText, meaning }) => ({
      variable: name,
      process,
      default: defaultText,
      meaning,
      allowed: type.allowed,
    }));
}
