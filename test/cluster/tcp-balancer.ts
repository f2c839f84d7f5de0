import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';

/** One address for several servers of this machine, as a service of Kubernetes or a load balancer is: whoever accepts gets the connection. */
export class TcpBalancer {
  private readonly sockets = new Set<Socket>();
  private turn = 0;
  private accepted = 0;
  private refused = 0;

  private constructor(
    private readonly server: Server,
    private ports: readonly number[],
  ) {
    server.on('connection', (client) => void this.join(client));
  }

  static async start(ports: readonly number[]): Promise<TcpBalancer> {
    const balancer = new TcpBalancer(createServer({ pauseOnConnect: true }), ports);
    await once(balancer.server.listen(0, '127.0.0.1'), 'listening');
    return balancer;
  }

  get address(): string {
    return `127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  /** Connections of clients so far. */
  get connections(): number {
    return this.accepted;
  }

  /** How often a server that was to get a connection did not accept it. */
  get refusals(): number {
    return this.refused;
  }

  /** The servers of connections from now on; those that are open stay where they are. */
  route(ports: readonly number[]): void {
    this.ports = ports;
  }

  close(): void {
    this.server.close();
    for (const socket of this.sockets) socket.destroy();
  }

  private async join(client: Socket): Promise<void> {
    this.accepted += 1;
    const server = await this.connect();
    if (!server) {
      client.destroy();
      return;
    }
    const end = () => {
      for (const socket of [client, server]) this.sockets.delete(socket.destroy());
    };
    for (const socket of [client, server]) this.sockets.add(socket.setNoDelay().on('error', end).on('close', end));
    client.pipe(server).pipe(client);
  }

  /** Each in turn, until one accepts. */
  private async connect(): Promise<Socket | undefined> {
    const first = this.turn++;
    const { ports } = this;
    for (let attempt = 0; attempt < ports.length; attempt += 1) {
      const socket = connect(ports[(first + attempt) % ports.length]!, '127.0.0.1');
      try {
        await once(socket, 'connect');
        return socket;
      } catch {
        this.refused += 1;
        socket.destroy();
      }
    }
    return undefined;
  }
}
