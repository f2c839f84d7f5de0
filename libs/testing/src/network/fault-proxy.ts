import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { LinkDirection, Pump, type LinkConditions } from './link-direction';

/** Forward is from whoever connects to the target. */
export type Direction = 'forward' | 'backward';

/**
 * Another way to a server, over a link that can be slow, stall or break. All connections share the link, each direction has a
 * capacity of its own. An address is host:port, or the absolute path of a Unix socket.
 */
export class FaultProxy {
  private readonly sockets = new Set<Socket>();
  private readonly directions: Readonly<Record<Direction, LinkDirection>>;
  private readonly server: Server;
  private isCut = false;

  private constructor(
    private readonly target: string,
    conditions: LinkConditions,
  ) {
    this.directions = { forward: new LinkDirection(conditions), backward: new LinkDirection(conditions) };
    // Ends of streams are passed on behind what is still under way.
    this.server = createServer({ allowHalfOpen: true }, (near) => this.join(near));
  }

  /** @param at the proxy's own address; by default a free port */
  static async to(target: string, conditions: LinkConditions = {}, at = '127.0.0.1:0'): Promise<FaultProxy> {
    const proxy = new FaultProxy(target, conditions);
    await once(proxy.server.listen(socketAddress(at)), 'listening');
    return proxy;
  }

  get address(): string {
    const address = this.server.address() as AddressInfo | string;
    return typeof address === 'string' ? address : `127.0.0.1:${address.port}`;
  }

  /** For what comes from now on. */
  change(conditions: LinkConditions): void {
    for (const direction of Object.values(this.directions)) direction.conditions = conditions;
  }

  /** Nothing passes any more while connections stay open, as when packets are lost. Default: in both directions. */
  stall(...directions: Direction[]): void {
    for (const direction of this.either(directions)) direction.stall();
  }

  /** What was held back goes on, and connections may be opened. */
  restore(...directions: Direction[]): void {
    this.isCut = false;
    for (const direction of this.either(directions)) direction.restore();
  }

  /** All connections end at once and nothing under way arrives; new ones get through. */
  disconnect(): void {
    for (const socket of this.sockets) socket.destroy();
  }

  /** All connections end at once, and each new one, until the link is restored. */
  cut(): void {
    this.isCut = true;
    this.disconnect();
  }

  /** As when a process dies: all connections end at once, and nobody gets through any more. */
  close(): void {
    this.server.close();
    this.disconnect();
  }

  private either(directions: readonly Direction[]): LinkDirection[] {
    return (directions.length > 0 ? directions : (['forward', 'backward'] as const)).map(
      (name) => this.directions[name],
    );
  }

  private join(near: Socket): void {
    if (this.isCut) {
      near.destroy();
      return;
    }
    const far = connect({ ...socketAddress(this.target), allowHalfOpen: true });
    const pumps = [new Pump(near, far, this.directions.forward), new Pump(far, near, this.directions.backward)];
    const end = () => {
      for (const pump of pumps) pump.stop();
      for (const socket of [near, far]) this.sockets.delete(socket.destroy());
    };
    for (const socket of [near, far]) this.sockets.add(socket.setNoDelay().on('error', end).on('close', end));
  }
}

function socketAddress(address: string): { path: string } | { host: string; port: number } {
  if (address.startsWith('/')) return { path: address };
  const { hostname, port } = new URL(`tcp://${address}`);
  return { host: hostname, port: Number(port) };
}
