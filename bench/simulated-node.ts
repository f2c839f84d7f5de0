import type { NodeSessionRequest, NodeSessionResponse } from '@pangalactic/contracts';
import { connectHub, type Duplex, type HubClient } from '@pangalactic/transport';

/** What a node with one stage says in each beat. */
const HEARTBEAT: NodeSessionRequest = {
  heartbeat: {
    stageTimes: [{ pipelineId: 'p', decodeStepMs: 20, prefillTokenMs: 4, runningSequences: 1, singleDecodeMs: 18 }],
    links: [{ nodeId: 'node-0', roundTripMs: 0.4, bytesPerSecond: 1e8 }],
  },
};

/** A node as far as the hub can tell: a connection and a session of its own, and a beat as often as the hub asks for one. */
export class SimulatedNode {
  private timer: NodeJS.Timeout | undefined;

  private constructor(
    private readonly client: HubClient,
    private readonly session: Duplex<NodeSessionRequest, NodeSessionResponse>,
  ) {}

  static async join(hub: string, index: number): Promise<SimulatedNode> {
    const client = connectHub(hub, { clusterToken: undefined });
    const session = client.nodeSession();
    await session.send({
      register: {
        ...{ nodeId: `node-${index}`, address: `10.${index >> 16}.${(index >> 8) & 255}.${index & 255}:7200` },
        ...{ computeType: 'cpu', simulated: true, memoryBytes: 8e9, version: '0.0.0', clusterId: '', term: 0 },
        ...{ inventory: { models: [], rejected: [] }, shards: [] },
      },
    });
    const first = await session.next();
    if (first.done || !first.value.registered) throw new Error(`node-${index} was not registered`);
    const { heartbeatIntervalMs } = first.value.registered;
    const node = new SimulatedNode(client, session);
    node.timer = setTimeout(() => node.beatEvery(heartbeatIntervalMs), Math.random() * heartbeatIntervalMs);
    return node;
  }

  leave(): void {
    clearTimeout(this.timer);
    this.client.close();
  }

  private beatEvery(interval: number): void {
    this.session.trySend(HEARTBEAT);
    this.timer = setInterval(() => this.session.trySend(HEARTBEAT), interval);
  }
}
