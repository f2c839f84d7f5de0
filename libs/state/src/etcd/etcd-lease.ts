import { setTimeout as delay } from 'node:timers/promises';
import { PangalacticError } from '@pangalactic/contracts';
import type { EtcdClient } from './etcd-client';

/** After a keep-alive that failed. */
const RETRY_MS = 200;

/**
 * A lease that is kept alive. It counts as lost one TTL after the last keep-alive that was acknowledged had been *sent*:
 * etcd, which counts from when it received it, gives the lead to somebody else later than that. One of its leaders that has lost
 * its majority acknowledges some more until it notices; its successor lets leases live on for as long (etcd pull request 4778).
 */
export class EtcdLease {
  private readonly losing = new AbortController();
  private readonly ending = new AbortController();
  private timer: NodeJS.Timeout | undefined;

  private constructor(
    readonly id: string,
    private readonly client: EtcdClient,
    private readonly ttlMs: number,
  ) {}

  static async grant(client: EtcdClient, ttlMs: number): Promise<EtcdLease> {
    const sentAt = performance.now();
    const lease = new EtcdLease(await client.grantLease(Math.ceil(ttlMs / 1000)), client, ttlMs);
    lease.renew(sentAt);
    void lease.keepAlive();
    return lease;
  }

  get lost(): AbortSignal {
    return this.losing.signal;
  }

  /** Lets etcd forget it and all its keys at once, or after the TTL where etcd cannot be reached. */
  async end(): Promise<void> {
    if (this.ending.signal.aborted) return;
    this.ending.abort();
    clearTimeout(this.timer);
    await this.client.revokeLease(this.id).catch(() => undefined);
  }

  private async keepAlive(): Promise<void> {
    const { signal } = this.ending;
    const pause = (ms: number) => delay(ms, undefined, { signal }).catch(() => undefined);
    await pause(this.ttlMs / 5);
    while (!signal.aborted) {
      const sentAt = performance.now();
      const answer = await this.client.keepLeaseAlive(this.id).catch(() => 'none' as const);
      if (answer === 'expired') this.lose('etcd let it expire');
      if (answer === 'alive') this.renew(sentAt);
      await pause(answer === 'alive' ? this.ttlMs / 5 : RETRY_MS);
    }
  }

  private renew(sentAt: number): void {
    const rest = sentAt + this.ttlMs - performance.now();
    clearTimeout(this.timer);
    const expire = () => this.lose(`no keep-alive was acknowledged for ${this.ttlMs / 1000} s`);
    if (this.ending.signal.aborted) return;
    // A process that was frozen gets answers that are too old.
    if (rest <= 0) expire();
    else this.timer = setTimeout(expire, rest);
  }

  private lose(reason: string): void {
    if (this.ending.signal.aborted) return;
    this.losing.abort(new PangalacticError('stale_term', `lost the lead: ${this.client.name}: ${reason}`));
    void this.end();
  }
}
