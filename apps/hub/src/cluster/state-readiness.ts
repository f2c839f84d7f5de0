import { Injectable } from '@nestjs/common';
import { PangalacticError } from '@pangalactic/contracts';
import type { ReadinessCheck } from '@pangalactic/lifecycle';
import { ClusterStore } from '../state/cluster-store';

const CHECK_DEADLINE_MS = 1_000;

/** The hub is of use only while it can read and write its state. */
@Injectable()
export class StateReadiness implements ReadinessCheck {
  readonly name = 'state';

  constructor(private readonly store: ClusterStore) {}

  async check(): Promise<string | null> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_resolve, reject) => {
      const error = new PangalacticError('state_unavailable', `no answer within ${CHECK_DEADLINE_MS} ms`);
      timer = setTimeout(() => reject(error), CHECK_DEADLINE_MS);
    });
    await Promise.race([this.store.check(), late]).finally(() => clearTimeout(timer));
    return null;
  }
}
