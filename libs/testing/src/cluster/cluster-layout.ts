import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import type { Environment } from '@pangalactic/config';
import type { AppProcessSpec } from '../processes/app-process';

const HOST = '127.0.0.1';

/** Ports of a cluster on one machine. */
export interface ClusterPorts {
  readonly hub: number;
  readonly hubHttp: number;
  readonly gateway: number;
  readonly nodes: readonly { readonly grpc: number; readonly http: number }[];
}

export interface ClusterLayoutOptions {
  readonly ports: ClusterPorts;
  readonly model: string;
  readonly modelDirectory: string;
  /** 0 lets the planner decide. */
  readonly stages: number;
  /** Logs and the hub's state. */
  readonly folder: string;
  /** Compiled shards, one folder per node. */
  readonly cacheDirectory: string;
  /** On top of the layout's own variables, per app. */
  readonly env?: { readonly hub?: Environment; readonly node?: Environment; readonly gateway?: Environment };
}

/** What to start, and where to reach it. */
export interface ClusterLayout {
  readonly hub: AppProcessSpec;
  readonly nodes: readonly AppProcessSpec[];
  readonly gateway: AppProcessSpec;
  readonly hubAddress: string;
  /** HTTP base of each process, by name. */
  readonly urls: ReadonlyMap<string, string>;
}

/** A hub, nodes `node-1`, `node-2`, ... and a gateway, reachable on the loopback interface only. */
export function clusterLayout(options: ClusterLayoutOptions): ClusterLayout {
  const { ports, env = {} } = options;
  const address = (port: number) => `${HOST}:${port}`;
  const url = (port: number) => `http://${address(port)}`;
  const logPath = (name: string) => join(options.folder, `${name}.log`);
  const nodes = ports.nodes.map((node, index) => ({ ...node, id: `node-${index + 1}` }));
  // One machine: nodes with a thread per core each would only get in each other's way.
  const threads = Math.max(1, Math.floor(availableParallelism() / nodes.length));

  return {
    hub: {
      name: 'hub',
      app: 'hub',
      logPath: logPath('hub'),
      env: {
        HUB_BIND_ADDR: address(ports.hub),
        HUB_HTTP_ADDR: address(ports.hubHttp),
        HUB_SQLITE_PATH: join(options.folder, 'hub.db'),
        HUB_PIPELINE_STAGES: String(options.stages),
        HUB_MODELS: options.model,
        ...env.hub,
      },
    },
    nodes: nodes.map(({ id, grpc, http }) => ({
      name: id,
      app: 'node',
      logPath: logPath(id),
      env: {
        NODE_ID: id,
        NODE_HUB_ADDR: address(ports.hub),
        NODE_BIND_ADDR: address(grpc),
        NODE_ADVERTISE_ADDR: address(grpc),
        NODE_HTTP_ADDR: address(http),
        NODE_GPU_COMPUTE_TYPE: 'cpu',
        NODE_MODEL_DIR: options.modelDirectory,
        NODE_CACHE_DIR: join(options.cacheDirectory, id),
        NODE_THREADS: String(threads),
        ...env.node,
      },
    })),
    gateway: {
      name: 'gateway',
      app: 'gateway',
      logPath: logPath('gateway'),
      env: { GATEWAY_BIND_ADDR: address(ports.gateway), GATEWAY_HUB_ADDR: address(ports.hub), ...env.gateway },
    },
    hubAddress: address(ports.hub),
    urls: new Map([
      ['hub', url(ports.hubHttp)],
      ['gateway', url(ports.gateway)],
      ...nodes.map(({ id, http }) => [id, url(http)] as const),
    ]),
  };
}
