import { PangalacticError, type NodeSessionRequest, type NodeSessionResponse } from '@pangalactic/contracts';
import type { Milliseconds } from '@pangalactic/scheduler';
import type { Duplex } from '@pangalactic/transport';

export type SessionChannel = Duplex<NodeSessionResponse, NodeSessionRequest>;

/** Commands are rare; a node that leaves this many unread does not read at all. */
const MAX_UNSENT_COMMANDS = 256;

/** The open stream of one registered node. */
export class NodeSession {
  private unsent = 0;

  constructor(
    readonly id: number,
    readonly nodeId: string,
    readonly address: string,
    private readonly channel: SessionChannel,
    public lastSeenAt: Milliseconds,
  ) {}

  /** Queues a command. One that is lost with the session is made up for when the node registers again. */
  send(command: NodeSessionResponse): void {
    if (this.unsent >= MAX_UNSENT_COMMANDS) {
      this.end(new PangalacticError('queue_full', `node ${this.nodeId} left ${this.unsent} commands unread`));
      return;
    }
    this.unsent += 1;
    const sent = () => {
      this.unsent -= 1;
    };
    this.channel.send(command).then(sent, sent);
  }

  end(reason: PangalacticError): void {
    this.channel.cancel(reason);
  }
}
