import type { PipelineSpec } from '@pangalactic/contracts';
import { FaultProxy, type LinkConditions } from '@pangalactic/testing';

/** A pipeline of which every stage reaches every other one through a tunnel of its own. */
export class TunnelledPipeline {
  private constructor(
    /** What each stage is told. */
    readonly specs: readonly PipelineSpec[],
    private readonly tunnels: readonly (readonly FaultProxy[])[],
  ) {}

  static async of(spec: PipelineSpec, conditions: LinkConditions = {}): Promise<TunnelledPipeline> {
    const row = () => Promise.all(spec.stages.map(({ address }) => FaultProxy.to(address, conditions)));
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
      for (const [to, tunnel] of own.entries()) if (from === stage || to === stage) tunnel.close();
    }
  }

  close(): void {
    this.tunnels.flat().forEach((tunnel) => tunnel.close());
  }
}
