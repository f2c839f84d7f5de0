import { Inject, Injectable } from '@nestjs/common';
import { PangalacticError, type SetNodeDrainedRequest } from '@pangalactic/contracts';
import { CLOCK, type Clock } from '../clock';
import { Reconciler } from './reconciler';
import { Standby } from './standby';

/** Operators' wishes that may wait at once for a state repository that is away; their callers may have left. */
const MAX_WAITING = 64;

/** Takes an operator's wish about a node. */
@Injectable()
export class NodeDrain {
  private waiting = 0;

  constructor(
    private readonly reconciler: Reconciler,
    private readonly standby: Standby,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /**
   * Resolves when the wish is stored. A caller that leaves before that does not take it back.
   * @throws PangalacticError `not_found`, `not_leader`, `queue_full`, `service_unavailable` when the hub stops meanwhile
   */
  async set({ nodeId, drained }: SetNodeDrainedRequest): Promise<void> {
    if (!this.reconciler.leadership) throw await this.standby.refusal();
    if (!this.reconciler.state.nodes.has(nodeId)) {
      throw new PangalacticError('not_found', `no node ${JSON.stringify(nodeId)} has registered`);
    }
    if (this.waiting >= MAX_WAITING) throw new PangalacticError('queue_full', `${MAX_WAITING} wishes wait already`);
    this.waiting += 1;
    try {
      await this.reconciler.submit({ kind: 'drain_wish', at: this.clock.now(), nodeId, drained });
    } finally {
      this.waiting -= 1;
    }
    if (!this.reconciler.leadership) throw new PangalacticError('service_unavailable', 'the hub stopped meanwhile');
  }
}
