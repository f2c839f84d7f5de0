import { Injectable } from '@nestjs/common';
import { PangalacticError } from '@pangalactic/contracts';
import type { Observation } from '@pangalactic/scheduler';
import { Reconciler } from './reconciler';

/** Wishes that may wait at once for a state repository that is away; their callers may have left. */
const MAX_WAITING = 64;

/** Takes what people and gateways want of the cluster. */
@Injectable()
export class Wishes {
  private waiting = 0;

  constructor(private readonly reconciler: Reconciler) {}

  /**
   * Resolves when the wish is stored. A caller that leaves before that does not take it back.
   * @throws PangalacticError `queue_full`, `service_unavailable` when the hub stops meanwhile
   */
  async take(wish: Observation): Promise<void> {
    if (this.waiting >= MAX_WAITING) throw new PangalacticError('queue_full', `${MAX_WAITING} wishes wait already`);
    this.waiting += 1;
    try {
      await this.reconciler.submit(wish);
    } finally {
      this.waiting -= 1;
    }
    if (!this.reconciler.leadership) throw new PangalacticError('service_unavailable', 'the hub stopped meanwhile');
  }
}
