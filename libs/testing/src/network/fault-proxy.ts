import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { LinkDirection, Pump, type LinkConditions } from './link-direction';

/** Forward is from whoever connects to the target. */
export type Direction = 'forward' | 'backward';

/**
 * Another way to a TCP address, over a link that can be slow, stall or break. All connections share the link, each direction
 * has a capacity of its own.
 */
export class FaultProxy {
  private readonly sockets = new Set<Socket>();
  private readonly directions: Readonly<Record<Direction, LinkDirection>>;
  private readonly server: Server;

  private constructor(
    private readonly target: URL,
    conditions: LinkConditions,
  ) {
    this.directions = { forward: new LinkDirection(conditions), backward: new LinkDirection(conditions) };
    // Ends of streams are passed on behind what is still under way.
    this.server = createServer({ allowHalfOpen: true }, (near) => this.join(near));
  }

  /** @param target host:port */
  static async to(target: string, conditions: LinkConditions = {}): Promise<FaultProxy> {
    const proxy = new FaultProxy(new URL(`tcp://${target}`), conditions);
    await once(proxy.server.listen(0, '127.0.0.1'), 'listening');
    return proxy;
  }

  get address(): string {
    return `127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  /** For what comes from now on. */
  change(conditions: LinkConditions): void {
    for (const direction of Object.values(this.directions)) direction.conditions = conditions;
  }

  /** Nothing passes any more while connections stay open, as when packets are lost. Default: in both directions. */
  stall(...directions: Direction[]): void {
    for (const direction of this.either(directions)) direction.stall();
  }

  /** What was held back goes on. */
  restore(...directions: Direction[]): void {
    for (const direction of this.either(directions)) direction.restore();
  }

  /** All connections end at once and nothing under way arrives; new ones get through. */
  disconnect(): void {
    for (const socket of this.sockets) socket.destroy();
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
    const far = connect({ host: this.target.hostname, port: Number(this.target.port), allowHalfOpen: true });
    const pumps = [new Pump(near, far, this.directions.forward), new Pump(far, near, this.directions.backward)];
    const end = () => {
      for (const pump of pumps) pump.stop();
      for (const socket of [near, far]) this.sockets.delete(socket.destroy());
    };
    for (const socket of [near, far]) this.sockets.add(socket.setNoDelay().on('error', end).on('close', end));
  }
}
