import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { repositoryRoot, type PipelineView } from '@pangalactic/contracts';
import { freePort } from '../free-port';
import { describeExit, type ProcessExit } from '../processes/app-process';
import { until } from '../until';
import { clusterLayout, type ClusterLayout, type ClusterLayoutOptions, type ClusterPorts } from './cluster-layout';
import { LocalCluster } from './local-cluster';

const STOP_GRACE_MS = 15_000;
const HTTP_TIMEOUT_MS = 5_000;
/** What Node prints of mistakes that end no test by themselves. */
const FORBIDDEN_IN_LOGS = /unhandled|uncaught|MaxListenersExceededWarning/i;

export interface TestClusterOptions {
  readonly nodes: number;
  readonly model?: string;
  readonly modelDirectory?: string;
  /** Default: as many as nodes. */
  readonly stages?: number;
  readonly env?: ClusterLayoutOptions['env'];
  /** Where the others reach a node that listens at an address: a proxy in front of it. Default: there. */
  readonly advertise?: (address: string) => Promise<string>;
  readonly timeoutMs?: number;
  /** False: nothing is loaded yet, so it is started when its nodes are connected. */
  readonly serves?: false;
}

/** A cluster whose `stop` fails when a process ended in a way that the test did not ask for. */
export class TestCluster extends LocalCluster {
  private readonly killed = new Set<string>();

  constructor(
    layout: ClusterLayout,
    private readonly folder: string,
  ) {
    super(layout);
  }

  /** Sum over the label sets of one metric, 0 before there is any. */
  async metric(name: string, metric: string): Promise<number> {
    const response = await fetch(this.url(name, '/metrics'), { signal: AbortSignal.timeout(HTTP_TIMEOUT_MS) });
    const lines = (await response.text()).split('\n');
    if (!lines.some((line) => line.startsWith(`# TYPE ${metric} `))) throw new Error(`${name} has no metric ${metric}`);
    const samples = lines.filter((line) => /^[a-z_]+/.exec(line)?.[0] === metric);
    return samples.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' '))), 0);
  }

  /** Waits until all nodes are connected and hold nothing but one pipeline, which serves. */
  async untilWhole(timeoutMs: number): Promise<PipelineView> {
    const whole = async () => {
      const view = await this.view();
      const [pipeline, ...others] = view.pipelines;
      const connected = view.nodes.filter(({ state }) => state === 'CONNECTED');
      const isWhole = pipeline?.state === 'READY' && others.length === 0 && connected.length === this.nodeNames.length;
      if (!isWhole) throw new Error(JSON.stringify(view));
      const bytes = pipeline.pipeline?.stages.reduce((sum, { memoryBytes }) => sum + memoryBytes, 0);
      const usedBytes = view.nodes.reduce((sum, node) => sum + node.usedBytes, 0);
      return usedBytes === bytes ? pipeline : undefined;
    };
    return until(whole, { timeoutMs, message: 'all nodes are connected and one pipeline serves' });
  }

  /** Resolves when the process is gone. */
  async kill(name: string, signal: NodeJS.Signals = 'SIGKILL'): Promise<ProcessExit> {
    const process = this.process(name);
    this.killed.add(`${name}/${process.pid}`);
    process.kill(signal);
    return process.exited;
  }

  /** @throws when a process did not exit with code 0 on SIGTERM, or logged something that no process may log. */
  async stop(): Promise<void> {
    const exits = await this.stopAll(STOP_GRACE_MS);
    const problems = [...exits].flatMap(([name, exit]) => {
      const process = this.process(name);
      const lines = process
        .logs()
        .split('\n')
        .filter((line) => FORBIDDEN_IN_LOGS.test(line));
      const asked = this.killed.has(`${name}/${process.pid}`);
      return [
        ...(exit.code === 0 || asked ? [] : [`${name} ${describeExit(exit)}:\n${process.logs().slice(-2000)}`]),
        ...lines.map((line) => `${name} logged: ${line}`),
      ];
    });
    if (problems.length > 0) throw new Error(`${problems.join('\n')}\nlogs: ${this.folder}`);
    await rm(this.folder, { recursive: true, force: true });
  }
}

/** Starts real processes from dist/ on free ports and waits until the model answers, if one is to be served. */
export async function startCluster(options: TestClusterOptions): Promise<TestCluster> {
  const folder = await mkdtemp(join(tmpdir(), 'pangalactic-test-'));
  const layout = clusterLayout({
    folder,
    ports: await freeClusterPorts(options.nodes),
    model: options.model ?? 'pangalactic-nano',
    modelDirectory: options.modelDirectory ?? join(repositoryRoot(), 'models'),
    stages: options.stages ?? options.nodes,
    cacheDirectory: join(repositoryRoot(), 'data', 'test-cache'),
    env: options.env,
  });
  const cluster = new TestCluster(await withAdvertised(layout, options.advertise), folder);
  try {
    const timeoutMs = options.timeoutMs ?? 60_000;
    await cluster.startProcesses({ timeoutMs });
    await (options.serves === false ? cluster.untilRegistered(timeoutMs) : cluster.untilServing(timeoutMs));
    return cluster;
  } catch (error) {
    await cluster.stopAll(STOP_GRACE_MS);
    throw error;
  }
}

async function withAdvertised(
  layout: ClusterLayout,
  advertise: TestClusterOptions['advertise'],
): Promise<ClusterLayout> {
  if (!advertise) return layout;
  const nodes = layout.nodes.map(async (node) => {
    const address = await advertise(node.env.NODE_BIND_ADDR!);
    return { ...node, env: { ...node.env, NODE_ADVERTISE_ADDR: address } };
  });
  return { ...layout, nodes: await Promise.all(nodes) };
}

async function freeClusterPorts(nodes: number): Promise<ClusterPorts> {
  const hub = await freePort();
  const hubHttp = await freePort();
  const gateway = await freePort();
  const nodePorts = [];
  for (let node = 0; node < nodes; node += 1) nodePorts.push({ grpc: await freePort(), http: await freePort() });
  return { hub, hubHttp, gateway, nodes: nodePorts };
}
