import { setTimeout as sleep } from 'node:timers/promises';
import type { TcpBalancer } from './tcp-balancer';

/** Sends the balancer's connections to those that are ready, which it learns up to a period late, as the endpoints of Kubernetes do. */
export class ReadyServers {
  private readonly ports = new Set<number>();
  private readonly stopping = new AbortController();
  private readonly probing: Promise<void>;
  private ready: readonly number[] = [];

  constructor(
    private readonly balancer: TcpBalancer,
    private readonly periodMs: number,
  ) {
    this.probing = this.probeForEver();
  }

  add(port: number): void {
    this.ports.add(port);
  }

  has(port: number): boolean {
    return this.ready.includes(port);
  }

  stop(): Promise<void> {
    this.stopping.abort();
    return this.probing;
  }

  private async probeForEver(): Promise<void> {
    const { signal } = this.stopping;
    while (!signal.aborted) {
      const found = await Promise.all([...this.ports].map(async (port) => ((await isReady(port)) ? [port] : [])));
      this.ready = found.flat();
      this.balancer.route(this.ready);
      await sleep(this.periodMs, undefined, { signal }).catch(() => undefined);
    }
  }
}

async function isReady(port: number): Promise<boolean> {
  try {
    const response = await fetch(`http://127.0.0.1:${port}/readyz`, { signal: AbortSignal.timeout(2_000) });
    await response.arrayBuffer();
    return response.ok;
  } catch {
    return false;
  }
}
