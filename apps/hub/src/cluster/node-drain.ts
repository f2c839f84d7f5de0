import { Inject, Injectable } from '@nestjs/common';
import { PangalacticError, type SetNodeDrainedRequest } from '@pangalactic/contracts';
import { CLOCK, type Clock } from '../clock';
import { Reconciler } from './reconciler';
import { Standby } from './standby';
import { Wishes } from './wishes';

/** Takes an operator's wish about a node. */
@Injectable()
export class NodeDrain {
  constructor(
    private readonly reconciler: Reconciler,
    private readonly standby: Standby,
    private readonly wishes: Wishes,
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
    await this.wishes.take({ kind: 'drain_wish', at: this.clock.now(), nodeId, drained });
  }
}
