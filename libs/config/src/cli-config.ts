import { SHARED_VARIABLES } from './shared-variables';
import { loadConfig } from './variable';
import type { ConfigOf, Environment } from './variable';

const CLI_VARIABLES = { clusterToken: SHARED_VARIABLES.clusterToken };

export type CliConfig = ConfigOf<typeof CLI_VARIABLES>;

/** What the commands that talk to a running cluster need; flags carry the rest. */
export function loadCliConfig(environment: Environment = process.env): CliConfig {
  return loadConfig(CLI_VARIABLES, environment);
}

/** The environment of a child process: this process's own with `overrides` on top. */
export function childEnvironment(overrides: Environment): NodeJS.ProcessEnv {
  return { ...process.env, ...overrides };
}
