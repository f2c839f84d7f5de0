import { setTimeout as delay } from 'node:timers/promises';
import { PangalacticError } from '@pangalactic/contracts';
import type { Leadership } from '../state-repository';
import type { EtcdClient } from './etcd-client';
import { put, wasWrittenAt, type EtcdKeys } from './etcd-keys';
import { EtcdLease } from './etcd-lease';
import type { EtcdMeta, StoreFacts } from './etcd-meta';

/** How often those who wait look whether nobody leads any more. */
const POLL_MS = 1_000;

type InOrder = <T>(operation: () => Promise<T>) => Promise<T>;

/**
 * Waits for the leader's key to be gone and writes it, with a lease, in the transaction that raises the term: from that
 * moment on nothing of an earlier leader is applied.
 */
export class EtcdElection {
  constructor(
    private readonly client: EtcdClient,
    private readonly keys: EtcdKeys,
    private readonly meta: EtcdMeta,
    private readonly inOrder: InOrder,
    private readonly leaseTtlMs: number,
  ) {}

  /** However long etcd is away. @throws PangalacticError `corrupt_state`, or the signal's reason */
  async win(address: string, signal: AbortSignal): Promise<Leadership> {
    while (!signal.aborted) {
      try {
        const leadership = await this.attempt(address);
        if (leadership) return leadership;
      } catch (error) {
        if (error instanceof PangalacticError && error.code === 'corrupt_state') throw error;
      }
      await delay(POLL_MS * (0.75 + Math.random() / 2), undefined, { signal }).catch(() => undefined);
    }
    throw signal.reason;
  }

  async leader(): Promise<{ readonly address: string; readonly lease: string } | undefined> {
    const { kvs } = await this.client.read({ key: this.keys.leader });
    return kvs[0] && { address: kvs[0].value.toString(), lease: kvs[0].lease };
  }

  private async attempt(address: string): Promise<Leadership | undefined> {
    if (await this.leader()) return undefined;
    const lease = await EtcdLease.grant(this.client, this.leaseTtlMs);
    try {
      const facts = await this.elect(address, lease);
      if (facts && !lease.lost.aborted) {
        const { clusterId, term } = facts;
        return { clusterId, term, lost: lease.lost, resign: () => lease.end() };
      }
      await lease.end();
      return undefined;
    } catch (error) {
      await lease.end();
      throw error;
    }
  }

  private async elect(address: string, lease: EtcdLease): Promise<StoreFacts | undefined> {
    try {
      const response = await this.inOrder(() =>
        this.meta.transact((facts) => ({
          compare: [wasWrittenAt(this.keys.leader, 0)],
          success: [put(this.keys.leader, address, lease.id)],
          facts: { ...facts, term: facts.term + 1 },
        })),
      );
      return response && (await this.meta.settled());
    } catch (error) {
      if (!(error instanceof PangalacticError) || error.code !== 'state_outcome_unknown') throw error;
      const facts = await this.inOrder(() => this.meta.refreshed());
      return (await this.leader())?.lease === lease.id ? facts : undefined;
    }
  }
}
