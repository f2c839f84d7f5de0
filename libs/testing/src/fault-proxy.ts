import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';

const HOST = '127.0.0.1';

/** A TCP connection to a server of this machine that a test can cut, or make a black hole. */
export class FaultProxy {
  private readonly pairs = new Set<readonly [Socket, Socket]>();
  private isCut = false;
  private stalled = { requests: false, answers: false };

  private constructor(
    private readonly server: Server,
    private readonly targetPort: number,
  ) {
    server.on('connection', (client) => this.accept(client));
  }

  static async start(targetPort: number): Promise<FaultProxy> {
    const proxy = new FaultProxy(createServer(), targetPort);
    proxy.server.listen(0, HOST);
    await once(proxy.server, 'listening');
    return proxy;
  }

  get port(): number {
    return (this.server.address() as AddressInfo).port;
  }

  /** Ends every connection, and each new one at once. */
  cut(): void {
    this.isCut = true;
    for (const pair of this.pairs) for (const socket of pair) socket.destroy();
  }

  /** Nothing comes through any more, and nobody is told; or everything arrives, but no answer comes back. */
  stall(what: 'both' | 'answers' = 'both'): void {
    this.stalled = { requests: what === 'both', answers: true };
    for (const [client, server] of this.pairs) {
      if (this.stalled.requests) client.pause();
      server.pause();
    }
  }

  heal(): void {
    this.isCut = false;
    this.stalled = { requests: false, answers: false };
    for (const pair of this.pairs) for (const socket of pair) socket.resume();
  }

  async close(): Promise<void> {
    this.cut();
    this.server.close();
    await once(this.server, 'close');
  }

  private accept(client: Socket): void {
    if (this.isCut) {
      client.destroy();
      return;
    }
    const pair = [client, connect(this.targetPort, HOST)] as const;
    this.pairs.add(pair);
    this.forward('requests', pair);
    this.forward('answers', pair);
  }

  private forward(what: 'requests' | 'answers', pair: readonly [Socket, Socket]): void {
    const [from, to] = what === 'requests' ? pair : ([pair[1], pair[0]] as const);
    from.on('data', (data) => {
      if (!to.write(data)) from.pause();
    });
    to.on('drain', () => {
      if (!this.stalled[what]) from.resume();
    });
    if (this.stalled[what]) from.pause();
    // `close` follows; how a connection ended is not passed on, only that it did.
    from.on('error', () => undefined);
    from.on('close', () => {
      this.pairs.delete(pair);
      to.destroySoon();
    });
  }
}
