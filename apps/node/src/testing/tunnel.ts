import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import type { PipelineSpec } from '@pangalactic/contracts';

/** Another way to an address, whose connections can be cut without a word. */
export class Tunnel {
  private readonly sockets = new Set<Socket>();
  private readonly server = createServer((near) => {
    const far = connect(Number(this.target.split(':').at(-1)), '127.0.0.1');
    const end = () => [near, far].forEach((socket) => socket.destroy());
    for (const socket of [near, far]) this.sockets.add(socket.on('error', end).on('close', end));
    near.pipe(far).pipe(near);
  });

  private constructor(private readonly target: string) {}

  static async to(target: string): Promise<Tunnel> {
    const tunnel = new Tunnel(target);
    await once(tunnel.server.listen(0, '127.0.0.1'), 'listening');
    return tunnel;
  }

  get address(): string {
    return `127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  /** Nothing that is still on its way arrives, and nobody gets through any more. */
  cut(): void {
    this.server.close();
    this.sockets.forEach((socket) => socket.destroy());
  }
}

/** A pipeline of which every stage reaches every other one through a tunnel of its own. */
export class TunnelledPipeline {
  private constructor(
    /** What each stage is told. */
    readonly specs: readonly PipelineSpec[],
    private readonly tunnels: readonly (readonly Tunnel[])[],
  ) {}

  static async of(spec: PipelineSpec): Promise<TunnelledPipeline> {
    const row = () => Promise.all(spec.stages.map(({ address }) => Tunnel.to(address)));
    const tunnels = await Promise.all(spec.stages.map(row));
    const specs = tunnels.map((own) => ({
      ...spec,
      stages: spec.stages.map((stage, index) => ({ ...stage, address: own[index]?.address ?? '' })),
    }));
    return new TunnelledPipeline(specs, tunnels);
  }

  /** All connections from and to the stage go at once, as those of a process that dies. */
  cutOff(stage: number): void {
    for (const [from, own] of this.tunnels.entries()) {
      for (const [to, tunnel] of own.entries()) if (from === stage || to === stage) tunnel.cut();
    }
  }

  close(): void {
    this.tunnels.flat().forEach((tunnel) => tunnel.cut());
  }
}
