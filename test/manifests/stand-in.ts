import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Environment } from '@pangalactic/config';
import { repositoryRoot } from '@pangalactic/contracts';
import { AppProcess, freePort, until, type AppName, type ProcessExit } from '@pangalactic/testing';

const READY_MS = 60_000;
const STOP_GRACE_MS = 15_000;
const PROBE_TIMEOUT_MS = 3_000;

/** Which variable says where a process listens, by the names that manifests give to container ports. */
const LISTEN: Record<AppName, Readonly<Record<string, { variable: string; port: number }>>> = {
  hub: { grpc: { variable: 'HUB_BIND_ADDR', port: 7100 }, http: { variable: 'HUB_HTTP_ADDR', port: 7101 } },
  node: { grpc: { variable: 'NODE_BIND_ADDR', port: 7200 }, http: { variable: 'NODE_HTTP_ADDR', port: 7201 } },
  gateway: { http: { variable: 'GATEWAY_BIND_ADDR', port: 8080 } },
};

/**
 * This machine in the place of a cluster: processes run with the environment that manifests give to containers, in which
 * only addresses become ports of the loopback interface, and paths of the container folders here.
 */
export class StandIn {
  private readonly folder = mkdtempSync(join(tmpdir(), 'manifests-'));
  private readonly ports = new Map<string, Promise<number>>();
  private readonly processes: AppProcess[] = [];

  /** The same address for the same host and port of the cluster. */
  async local(host: string, port: number): Promise<string> {
    const key = `${host}:${port}`;
    const localPort = this.ports.get(key) ?? freePort();
    this.ports.set(key, localPort);
    return `127.0.0.1:${await localPort}`;
  }

  /** A path of a container, for one pod alone. */
  path(host: string, path: string): string {
    return path.startsWith('/app/')
      ? join(repositoryRoot(), path.slice('/app/'.length))
      : join(this.folder, host, path);
  }

  /** Every `host:port` and absolute path in the text, which runs on `host`. */
  async translate(host: string, text: string): Promise<string> {
    if (/^\/\w/.test(text)) return this.path(host, text);
    let translated = '';
    let end = 0;
    for (const { 0: address, 1: name, 2: port, index } of text.matchAll(/([a-z0-9][\w.-]*):(\d{4,5})\b/g)) {
      translated += text.slice(end, index) + (await this.local(name!, Number(port)));
      end = index + address.length;
    }
    return translated + text.slice(end);
  }

  /** Under the name by which others dial it. */
  async start(app: AppName, host: string, environment: Environment): Promise<AppProcess> {
    const env: Record<string, string> = {};
    for (const [name, value] of Object.entries(environment)) env[name] = await this.translate(host, value ?? '');
    for (const { variable, port } of Object.values(LISTEN[app])) env[variable] = await this.local(host, port);
    const process = AppProcess.start({ name: host, app, env, logPath: join(this.folder, `${host}.log`) });
    this.processes.push(process);
    return process;
  }

  async url(host: string, port: number, path: string): Promise<string> {
    return `http://${await this.local(host, port)}${path}`;
  }

  /** What a probe sees: the status, or undefined when nobody answers. */
  async status(host: string, port: number, path: string): Promise<number | undefined> {
    const url = await this.url(host, port, path);
    const response = await fetch(url, { signal: AbortSignal.timeout(PROBE_TIMEOUT_MS) }).catch(() => undefined);
    return response?.status;
  }

  async untilReady(host: string, port: number, path: string): Promise<void> {
    const running = this.processes.find(({ name, ended }) => name === host && !ended);
    await until(
      async () => {
        if (running?.ended) throw new Error(running.logs());
        return (await this.status(host, port, path)) === 200;
      },
      { timeoutMs: READY_MS, message: () => `${host} answers ${path}: ${running?.logs().slice(-2_000)}` },
    );
  }

  /** SIGTERM for all, the newest first. */
  async stop(): Promise<ProcessExit[]> {
    const exits = [];
    for (const process of this.processes.splice(0).reverse()) exits.push(await process.stop(STOP_GRACE_MS));
    rmSync(this.folder, { recursive: true, force: true });
    return exits;
  }
}
