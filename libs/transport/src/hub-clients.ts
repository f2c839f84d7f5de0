import { connectHub, type ClientSettings, type HubClient } from './client';

/** The hubs of one cluster, any of which will do: one at a time, and the next one after a failure. */
export class HubClients {
  private readonly clients: readonly HubClient[];
  private index = 0;

  /** @param addresses at least one; connected lazily */
  constructor(addresses: readonly string[], settings: ClientSettings) {
    if (addresses.length === 0) throw new Error('no address of a hub');
    this.clients = addresses.map((address) => connectHub(address, settings));
  }

  get current(): HubClient {
    return this.clients[this.index]!;
  }

  /** After a failure of the current one. */
  next(): void {
    this.index = (this.index + 1) % this.clients.length;
  }

  close(): void {
    for (const client of this.clients) client.close();
  }
}
