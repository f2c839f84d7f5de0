import { toPangalacticError, type ErrorCode } from '@pangalactic/contracts';
import { connectHub, type ClientSettings, type HubClient } from './client';

/** Another hub may answer, or know who leads. */
export const ASK_ANOTHER_HUB: ReadonlySet<ErrorCode> = new Set([
  'service_unavailable',
  'deadline_exceeded',
  'not_leader',
  'state_unavailable',
]);

/** The hubs of one cluster, one at a time: the configured ones in turn, or the leader that one of them has named. */
export class HubClients {
  private readonly configured: readonly HubClient[];
  private index = 0;
  private leader: HubClient | undefined;

  /** @param addresses at least one; connected lazily */
  constructor(
    addresses: readonly string[],
    private readonly settings: ClientSettings,
  ) {
    if (addresses.length === 0) throw new Error('no address of a hub');
    this.configured = addresses.map((address) => connectHub(address, settings));
  }

  get current(): HubClient {
    return this.leader ?? this.configured[this.index]!;
  }

  /** Calls whoever is current; of a standby, the leader that it names. The next call goes to another hub if this one fails. */
  async call<T>(call: (hub: HubClient) => Promise<T>): Promise<T> {
    for (let isRedirected = false; ; isRedirected = true) {
      const asked = this.current;
      try {
        return await call(asked);
      } catch (error) {
        const { code, redirectTo } = toPangalacticError(error);
        const isOfNoUse = redirectTo !== undefined || ASK_ANOTHER_HUB.has(code);
        // Of several calls at once, the first to fail moves on, for all of them.
        if (isOfNoUse && asked === this.current) this.failed(redirectTo);
        if (redirectTo === undefined || isRedirected) throw error;
      }
    }
  }

  /**
   * Whoever is current was of no use. A leader that is lost is asked for anew where it was named.
   * @param redirectTo address of the leader, if that was its answer
   */
  failed(redirectTo?: string): void {
    if (!this.leader && redirectTo === undefined) this.index = (this.index + 1) % this.configured.length;
    this.leader?.close();
    this.leader = redirectTo === undefined ? undefined : connectHub(redirectTo, this.settings);
  }

  close(): void {
    this.leader?.close();
    for (const client of this.configured) client.close();
  }
}
