import { execFileSync, spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from '../free-port';
import { until } from '../until';

const START_TIMEOUT_MS = 20_000;
const QUERY_TIMEOUT_MS = 10_000;

/** One series of a range query. */
export interface RangeSeries {
  readonly labels: Readonly<Record<string, string>>;
  readonly values: readonly number[];
}

interface ApiAnswer<T> {
  readonly status: 'success' | 'error';
  readonly data?: T;
  readonly error?: string;
}

/** A Prometheus of our own on the loopback interface, with its data in a folder for temporary files. */
export class PrometheusServer {
  private constructor(
    private readonly process: ChildProcess,
    private readonly url: string,
    private readonly folder: string,
  ) {}

  /** @param configuration with absolute paths of rule files */
  static async start(configuration: string): Promise<PrometheusServer> {
    requirePrometheus();
    const folder = await mkdtemp(join(tmpdir(), 'pangalactic-prometheus-'));
    const config = join(folder, 'prometheus.yml');
    await writeFile(config, configuration);
    const address = `127.0.0.1:${await freePort()}`;
    const flags = [
      `--config.file=${config}`,
      `--storage.tsdb.path=${join(folder, 'data')}`,
      `--web.listen-address=${address}`,
    ];
    const logPath = join(folder, 'log');
    const log = openSync(logPath, 'a');
    // A test process that is killed takes it along.
    const child = spawn('setpriv', ['--pdeathsig', 'KILL', 'prometheus', ...flags], { stdio: ['ignore', log, log] });
    closeSync(log);
    const server = new PrometheusServer(child, `http://${address}`, folder);
    const ready = async () => child.exitCode !== null || (await fetch(`http://${address}/-/ready`)).ok;
    await until(ready, { timeoutMs: START_TIMEOUT_MS, message: 'Prometheus is ready' });
    if (child.exitCode !== null) throw new Error(`Prometheus has ended: ${await readFile(logPath, 'utf8')}`);
    return server;
  }

  /** What the HTTP API answers under /api/v1. @throws Error with what Prometheus says is wrong */
  async api<T>(path: string, parameters: Readonly<Record<string, string>> = {}): Promise<T> {
    const query = new URLSearchParams(parameters).toString();
    const response = await fetch(`${this.url}/api/v1/${path}?${query}`, {
      signal: AbortSignal.timeout(QUERY_TIMEOUT_MS),
    });
    const { data, error } = (await response.json()) as ApiAnswer<T>;
    if (data === undefined) throw new Error(`${path} ${query}: ${error}`);
    return data;
  }

  /** @param since seconds since the epoch; until now, one value per second */
  async range(query: string, since: number): Promise<RangeSeries[]> {
    const end = Date.now() / 1_000;
    const { result } = await this.api<{ result: { metric: Record<string, string>; values: [number, string][] }[] }>(
      'query_range',
      { query, start: String(since), end: String(end), step: '1' },
    );
    return result.map(({ metric, values }) => ({ labels: metric, values: values.map(([, value]) => Number(value)) }));
  }

  async stop(): Promise<void> {
    if (this.process.exitCode === null && this.process.signalCode === null) {
      this.process.kill('SIGKILL');
      await once(this.process, 'exit');
    }
    await rm(this.folder, { recursive: true, force: true });
  }
}

/** What promtool prints. @throws Error with it when the check fails */
export function promtool(...args: string[]): string {
  requirePrometheus();
  try {
    return execFileSync('promtool', args, { encoding: 'utf8', stdio: 'pipe' });
  } catch (error) {
    const { stdout, stderr } = error as { stdout: string; stderr: string };
    throw new Error(`promtool ${args.join(' ')}:\n${stdout}${stderr}`, { cause: error });
  }
}

/** What promtool finds wrong with the text of a scrape. */
export function metricProblems(text: string): string[] {
  requirePrometheus();
  const { stderr, stdout } = spawnSync('promtool', ['check', 'metrics'], { encoding: 'utf8', input: text });
  return `${stdout}${stderr}`.split('\n').filter((line) => line !== '');
}

/** @throws Error that says how to install it */
export function requirePrometheus(): void {
  for (const program of ['prometheus', 'promtool']) {
    if (spawnSync(program, ['--version']).status !== 0) {
      throw new Error(`${program} is missing: apt-get install prometheus`);
    }
  }
}
