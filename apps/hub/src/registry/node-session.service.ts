import { Inject, Injectable } from '@nestjs/common';
import { HUB_CONFIG, type HubConfig } from '@pangalactic/config';
import { PangalacticError, type NodeSessionRequest } from '@pangalactic/contracts';
import { DrainCoordinator } from '@pangalactic/lifecycle';
import type { LeadershipTerm } from '@pangalactic/state';
import { CLOCK, type Clock } from '../clock';
import { Reconciler } from '../cluster/reconciler';
import { Standby } from '../cluster/standby';
import { NodeProbe } from './node-probe';
import { NodeRegistry } from './node-registry';
import type { NodeSession, SessionChannel } from './node-session';
import { checkInventory, checkShardStatus, readRegistration, type Registration } from './registration';

/** One node session from its first message to its end, as observations for the reconciler. */
@Injectable()
export class NodeSessionService {
  constructor(
    @Inject(HUB_CONFIG) private readonly config: HubConfig,
    @Inject(CLOCK) private readonly clock: Clock,
    private readonly registry: NodeRegistry,
    private readonly reconciler: Reconciler,
    private readonly standby: Standby,
    private readonly probe: NodeProbe,
    private readonly drain: DrainCoordinator,
  ) {}

  /** Reads on only after a message has taken effect: what a node can queue at the hub is one message. */
  async serve(channel: SessionChannel): Promise<void> {
    const { leadership } = this.reconciler;
    if (!leadership) throw await this.standby.refusal();
    const registration = await this.awaitRegistration(channel, leadership);
    if (!registration) return;
    const session = this.registry.open(registration, channel, this.reconciler.state.nodes);
    let left = false;
    try {
      await this.welcome(session, registration, leadership);
      for await (const message of channel) await this.take(session, message);
      left = true;
    } finally {
      if (this.registry.close(session)) await (left ? this.nodeLeft(session) : this.sessionBroke(session));
    }
  }

  private async awaitRegistration(
    channel: SessionChannel,
    { clusterId, term }: LeadershipTerm,
  ): Promise<Registration | undefined> {
    const { heartbeatTimeoutMs } = this.config;
    const silence = setTimeout(() => {
      channel.cancel(new PangalacticError('deadline_exceeded', `no Register within ${heartbeatTimeoutMs / 1000} s`));
    }, heartbeatTimeoutMs);
    const first = await channel.next().finally(() => clearTimeout(silence));
    if (first.done) return undefined;
    const registration = readRegistration(first.value);
    if (registration.clusterId === clusterId && registration.term > term) {
      throw new PangalacticError(
        'stale_term',
        `${registration.nodeId} obeys term ${registration.term} of this cluster, this hub leads term ${term}`,
      );
    }
    return registration;
  }

  private async welcome(
    session: NodeSession,
    registration: Registration,
    { clusterId, term }: LeadershipTerm,
  ): Promise<void> {
    // Before anything that the observation below makes the reconciler send.
    session.send({
      registered: { clusterId, term, heartbeatIntervalMs: Math.ceil(this.config.heartbeatTimeoutMs / 3) },
    });
    const {
      nodeId: id,
      address,
      computeType,
      simulated,
      memoryBytes,
      version,
      inventory,
      shards,
      activationFormat,
      drainTimeoutMs,
    } = registration;
    await this.reconciler.submit({
      kind: 'node_registered',
      at: this.clock.now(),
      sessionId: session.id,
      identity: { id, address, computeType, simulated, memoryBytes, version, activationFormat, drainTimeoutMs },
      inventory,
      shards,
    });
  }

  private async take(session: NodeSession, message: NodeSessionRequest): Promise<void> {
    const { nodeId, id: sessionId } = session;
    const at = this.clock.now();
    session.lastSeenAt = at;
    if (message.heartbeat) this.registry.beat(session, message.heartbeat);
    else if (message.shardStatus) {
      checkShardStatus(message.shardStatus);
      await this.reconciler.submit({ kind: 'shard_status', at, nodeId, sessionId, status: message.shardStatus });
    } else if (message.inventory) {
      checkInventory(message.inventory);
      await this.reconciler.submit({ kind: 'inventory', at, nodeId, sessionId, inventory: message.inventory });
    } else if (message.register) {
      throw new PangalacticError('invalid_request', `${nodeId} is registered already in this session`);
    }
    // Anything else is a message of a newer version, which an older hub may ignore.
  }

  private nodeLeft({ nodeId, id: sessionId }: NodeSession): Promise<void> {
    return this.reconciler.submit({ kind: 'node_left', at: this.clock.now(), nodeId, sessionId });
  }

  private async sessionBroke({ nodeId, id: sessionId, address }: NodeSession): Promise<void> {
    // Sessions that the hub ends because it stops say nothing about the node.
    if (this.drain.closing.aborted) return;
    await this.reconciler.submit({ kind: 'session_closed', at: this.clock.now(), nodeId, sessionId });
    if (await this.probe.isServing(address)) return;
    const refused = await this.probe.isRefused(address);
    await this.reconciler.submit({ kind: 'probe_failed', at: this.clock.now(), nodeId, sessionId, refused });
  }
}
