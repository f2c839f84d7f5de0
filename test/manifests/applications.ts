import type { V1Container } from '@kubernetes/client-node';
import {
  loadGatewayConfig,
  loadHubConfig,
  loadNodeConfig,
  VARIABLE_TABLE,
  type Environment,
} from '@pangalactic/config';
import { DEFAULT_DRAIN_OPTIONS } from '@pangalactic/lifecycle';
import type { AppName } from '@pangalactic/testing';

/** What a process of ours does with an environment, in the terms of a pod. */
export interface Application {
  /** By the names that manifests give to container ports. */
  readonly ports: Readonly<Record<string, number>>;
  /** Files and folders that it writes. */
  readonly writes: readonly string[];
  /** From SIGTERM until it is gone at the latest, in seconds. */
  readonly shutdownSeconds: number;
}

const { deadlineMs, closeGraceMs, leaveGraceMs } = DEFAULT_DRAIN_OPTIONS;

const READERS: Record<AppName, (environment: Environment) => Application> = {
  hub: (environment) => {
    const { bindAddress, httpAddress, stateBackend, sqlitePath } = loadHubConfig(environment);
    return {
      ports: { grpc: bindAddress.port, http: httpAddress.port },
      writes: stateBackend === 'sqlite' ? [sqlitePath] : [],
      shutdownSeconds: shutdownSeconds(deadlineMs),
    };
  },
  node: (environment) => {
    const { bindAddress, httpAddress, cacheDirectory, drainTimeoutMs } = loadNodeConfig(environment);
    return {
      ports: { grpc: bindAddress.port, http: httpAddress.port },
      writes: [cacheDirectory],
      shutdownSeconds: shutdownSeconds(drainTimeoutMs),
    };
  },
  gateway: (environment) => ({
    ports: { http: loadGatewayConfig(environment).bindAddress.port },
    writes: [],
    shutdownSeconds: shutdownSeconds(deadlineMs),
  }),
};

export function isApplication(name: string): name is AppName {
  return Object.hasOwn(READERS, name);
}

/** @throws ConfigError naming the variable that is wrong */
export function describeApplication(app: AppName, environment: Environment): Application {
  return READERS[app](environment);
}

/** Variables that look like ours and that `app` does not read: misspelt, or of another process. */
export function unknownVariables(app: AppName, { env = [] }: V1Container): string[] {
  const known = new Set(
    VARIABLE_TABLE.filter(({ process }) => process === app || process === 'all').map(({ variable }) => variable),
  );
  return env.map(({ name }) => name).filter((name) => name !== 'POD_IP' && !known.has(name));
}

function shutdownSeconds(drainMs: number): number {
  return (drainMs + closeGraceMs + leaveGraceMs) / 1_000;
}
