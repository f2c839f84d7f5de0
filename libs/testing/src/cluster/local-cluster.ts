import { loadCliConfig } from '@pangalactic/config';
import type { GetClusterResponse, PipelineView } from '@pangalactic/contracts';
import { connectHub, type HubClient } from '@pangalactic/transport';
import { AppProcess, describeExit, type AppProcessSpec, type ProcessExit } from '../processes/app-process';
import { until } from '../until';
import type { ClusterLayout } from './cluster-layout';

const HUB_READY_MS = 30_000;
const VIEW_DEADLINE_MS = 5_000;
const POLL_MS = 100;

export interface StartOptions {
  /** For the nodes to compile and load their shards. */
  readonly timeoutMs: number;
  readonly signal?: AbortSignal;
  readonly onProgress?: (message: string) => void;
  /** Called for each node that was started: the caller starts it again when it ends, so that this is no failure. */
  readonly superviseNode?: (name: string) => void;
}

/** A failure of one process, with the file that tells more. */
export class ProcessFailure extends Error {
  override readonly name = 'ProcessFailure';
  constructor(
    message: string,
    readonly logPath: string,
  ) {
    super(message);
  }

  /** A process that refuses its configuration says why in its last line. */
  static ofEnded(process: AppProcess, exit: ProcessExit): ProcessFailure {
    const lastLine = process.logs().trimEnd().split('\n').at(-1);
    const reason = lastLine ? `: ${lastLine}` : '';
    return new ProcessFailure(`${process.name} ${describeExit(exit)}${reason}`, process.logPath);
  }
}

/** A hub, nodes and a gateway as separate processes on this machine. */
export class LocalCluster {
  private readonly processes = new Map<string, AppProcess>();
  private readonly specs: ReadonlyMap<string, AppProcessSpec>;
  private readonly hub: HubClient;

  constructor(readonly layout: ClusterLayout) {
    this.hub = connectHub(layout.hubAddress, loadCliConfig(layout.hub.env));
    this.specs = new Map([layout.hub, ...layout.nodes, layout.gateway].map((spec) => [spec.name, spec]));
  }

  get nodeNames(): string[] {
    return this.layout.nodes.map(({ name }) => name);
  }

  url(name: string, path = ''): string {
    const base = this.layout.urls.get(name);
    if (base === undefined) throw new Error(`there is no process ${name}`);
    return base + path;
  }

  process(name: string): AppProcess {
    const process = this.processes.get(name);
    if (!process) throw new Error(`${name} was never started`);
    return process;
  }

  /** Starts a process for the first time, or again after it ended. */
  start(name: string): AppProcess {
    const spec = this.specs.get(name);
    if (!spec) throw new Error(`there is no process ${name}`);
    const previous = this.processes.get(name);
    if (previous && !previous.ended) throw new Error(`${name} is running`);
    const process = AppProcess.start(spec);
    this.processes.set(name, process);
    return process;
  }

  /** Starts everything and waits until the model answers through the gateway. */
  async startAll(options: StartOptions): Promise<void> {
    await this.startProcesses(options);
    const { timeoutMs, signal, superviseNode } = options;
    await this.untilServing(timeoutMs, signal, superviseNode ? this.nodeNames : []);
  }

  /** Starts everything, the nodes and the gateway once the hub is ready. */
  async startProcesses({ signal, onProgress = () => undefined, superviseNode }: StartOptions): Promise<void> {
    const start = (name: string) => onProgress(`${name} started (process ${this.start(name).pid})`);
    start('hub');
    await this.untilOrProcessEnds(
      () => this.isReady('hub'),
      HUB_READY_MS,
      () => 'the hub is ready',
      signal,
    );
    for (const name of this.nodeNames) {
      start(name);
      superviseNode?.(name);
    }
    start('gateway');
  }

  /**
   * Waits until a pipeline is READY and the gateway says so too.
   * @param supervised processes that may end meanwhile
   */
  async untilServing(timeoutMs: number, signal?: AbortSignal, supervised: readonly string[] = []): Promise<void> {
    let seen = 'the hub has not answered';
    const isServing = async () => {
      const view = await this.view();
      seen = describeProgress(view);
      return readyPipeline(view) !== undefined && (await this.isReady('gateway'));
    };
    await this.untilOrProcessEnds(isServing, timeoutMs, () => `a pipeline is READY (${seen})`, signal, supervised);
  }

  /** Waits until all nodes are connected and the gateway is ready, whatever is loaded. */
  async untilRegistered(timeoutMs: number): Promise<void> {
    const isRegistered = async () => {
      const connected = (await this.view()).nodes.filter(({ state }) => state === 'CONNECTED');
      return connected.length === this.nodeNames.length && (await this.isReady('gateway'));
    };
    await this.untilOrProcessEnds(isRegistered, timeoutMs, () => 'all nodes are connected');
  }

  view(): Promise<GetClusterResponse> {
    return this.hub.getCluster({}, { deadlineMs: VIEW_DEADLINE_MS });
  }

  async isReady(name: string): Promise<boolean> {
    const response = await fetch(this.url(name, '/readyz'), { signal: AbortSignal.timeout(2000) });
    await response.arrayBuffer();
    return response.ok;
  }

  /** Ends every process: those that take requests first, the hub last, so that nobody misses a neighbour. */
  async stopAll(graceMs: number): Promise<ReadonlyMap<string, ProcessExit>> {
    this.hub.close();
    const exits = new Map<string, ProcessExit>();
    for (const names of [['gateway'], this.nodeNames, ['hub']]) {
      const running = names.flatMap((name) => this.processes.get(name) ?? []);
      await Promise.all(running.map(async (process) => exits.set(process.name, await process.stop(graceMs))));
    }
    return exits;
  }

  private async untilOrProcessEnds(
    condition: () => Promise<boolean>,
    timeoutMs: number,
    message: () => string,
    signal?: AbortSignal,
    supervised: readonly string[] = [],
  ): Promise<void> {
    const watched = () => [...this.processes.values()].filter(({ name }) => !supervised.includes(name));
    const ended = () => watched().find((process) => process.ended);
    await until(async () => ended() ?? (await condition()), { timeoutMs, message, intervalMs: POLL_MS, signal });
    const failed = ended();
    if (failed?.ended) throw ProcessFailure.ofEnded(failed, failed.ended);
  }
}

export function readyPipeline(view: GetClusterResponse): PipelineView | undefined {
  return view.pipelines.find(({ state }) => state === 'READY');
}

function describeProgress({ nodes, pipelines, deployments }: GetClusterResponse): string {
  const states = pipelines.map(({ state, reason }) => (reason ? `${state}: ${reason}` : state));
  const waiting = deployments.flatMap(({ modelId, waitingFor }) =>
    waitingFor ? `${modelId} waits for ${waitingFor}` : [],
  );
  return [`${nodes.length} nodes registered`, ...states, ...waiting].join('; ');
}
