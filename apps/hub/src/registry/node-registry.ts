import { Inject, Injectable } from '@nestjs/common';
import { HUB_CONFIG, type HubConfig } from '@pangalactic/config';
import { PangalacticError, type Heartbeat, type NodeSessionResponse } from '@pangalactic/contracts';
import type { Beat, ClusterState, Milliseconds } from '@pangalactic/scheduler';
import { CLOCK, type Clock } from '../clock';
import { HubMetrics } from '../metrics/hub-metrics';
import { NodeSession, type SessionChannel } from './node-session';
import type { Registration } from './registration';

/** The open sessions: at most one per node. What it knows dies with the process; the cluster state is elsewhere. */
@Injectable()
export class NodeRegistry {
  private readonly sessions = new Map<string, NodeSession>();
  private readonly beats = new Map<string, Beat>();
  private lastSessionId = 0;

  constructor(
    @Inject(HUB_CONFIG) private readonly config: HubConfig,
    @Inject(CLOCK) private readonly clock: Clock,
    private readonly metrics: HubMetrics,
  ) {
    metrics.observeHeartbeats(() => this.longestSilenceMs);
  }

  /**
   * Opens the node's session; an older one from the same address has ended in all but name and is closed.
   * @param known what the cluster state says, for a node without an open session
   * @throws PangalacticError `node_id_taken`
   */
  open({ nodeId, address }: Registration, channel: SessionChannel, known: ClusterState['nodes']): NodeSession {
    const now = this.clock.now();
    const open = this.sessions.get(nodeId);
    const node = known.get(nodeId);
    const expected = node?.state === 'CONNECTED' || node?.state === 'RECONNECTING';
    const holder = open ?? (expected ? node : undefined);
    if (holder && holder.address !== address && this.isFresh(holder.lastSeenAt, now)) {
      throw new PangalacticError(
        'node_id_taken',
        `NODE_ID ${nodeId} belongs to the node at ${holder.address}, which is alive; ${address} needs another one`,
      );
    }
    open?.end(new PangalacticError('node_id_taken', `a newer session of ${nodeId} at ${address} took over`));
    const session = new NodeSession(++this.lastSessionId, nodeId, address, channel, now);
    this.sessions.set(nodeId, session);
    return session;
  }

  /** @returns false if the session had been replaced by a newer one */
  close(session: NodeSession): boolean {
    if (this.sessions.get(session.nodeId) !== session) return false;
    this.sessions.delete(session.nodeId);
    this.beats.delete(session.nodeId);
    return true;
  }

  /** Only the latest beat counts, so a hub that cannot keep up forgets some, never collects them. */
  beat(session: NodeSession, { stageTimes, links }: Heartbeat): void {
    session.lastSeenAt = this.clock.now();
    this.metrics.heartbeat();
    const { nodeId, id: sessionId, lastSeenAt: at } = session;
    this.beats.set(nodeId, { nodeId, sessionId, at, stageTimes, links });
  }

  /** The beats since the last call. */
  takeBeats(): Beat[] {
    const beats = [...this.beats.values()];
    this.beats.clear();
    return beats;
  }

  /** Does nothing when that session is over: the next one starts from what the node holds. */
  send(nodeId: string, sessionId: number, command: NodeSessionResponse): void {
    this.current(nodeId, sessionId)?.send(command);
  }

  /** A silent node gets its session closed, so that it registers anew if it is alive after all. */
  endSilent(nodeId: string, sessionId: number): void {
    const seconds = this.config.heartbeatTimeoutMs / 1000;
    const message = `no heartbeat of ${nodeId} for ${seconds} s: the node counts as FAILED and must register again`;
    this.current(nodeId, sessionId)?.end(new PangalacticError('deadline_exceeded', message));
  }

  private get longestSilenceMs(): Milliseconds {
    const now = this.clock.now();
    return Math.max(0, ...[...this.sessions.values()].map(({ lastSeenAt }) => now - lastSeenAt));
  }

  private current(nodeId: string, sessionId: number): NodeSession | undefined {
    const session = this.sessions.get(nodeId);
    return session?.id === sessionId ? session : undefined;
  }

  private isFresh(lastSeenAt: Milliseconds, now: Milliseconds): boolean {
    return now - lastSeenAt <= this.config.heartbeatTimeoutMs;
  }
}
