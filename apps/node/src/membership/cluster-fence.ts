import { PangalacticError, type Registered } from '@pangalactic/contracts';

interface Authority {
  readonly clusterId: string;
  readonly term: number;
}

/**
 * Whom this node obeys. A hub that lost its leadership may still be running and sending: within one cluster the highest
 * term seen wins. Another cluster id means another state repository, which knows nothing of what the node holds.
 */
export class ClusterFence {
  private authority: Authority = { clusterId: '', term: 0 };

  /** Empty before the first registration. */
  get clusterId(): string {
    return this.authority.clusterId;
  }

  get term(): number {
    return this.authority.term;
  }

  /**
   * @returns whether the node must forget everything it holds for another cluster
   * @throws PangalacticError `stale_term`
   */
  register({ clusterId, term }: Registered): { reset: boolean } {
    const known = this.authority;
    if (clusterId === known.clusterId && term < known.term) throw stale(`registration with term ${term}`, known);
    this.authority = { clusterId, term };
    return { reset: known.clusterId !== '' && known.clusterId !== clusterId };
  }

  /** @throws PangalacticError `stale_term` when the command is not of the hub that this node obeys */
  admit(command: Authority): void {
    const known = this.authority;
    if (command.clusterId !== known.clusterId) throw stale(`command of cluster "${command.clusterId}"`, known);
    if (command.term < known.term) throw stale(`command with term ${command.term}`, known);
    this.authority = { clusterId: known.clusterId, term: command.term };
  }
}

function stale(what: string, { clusterId, term }: Authority): PangalacticError {
  return new PangalacticError('stale_term', `${what}: this node obeys cluster "${clusterId}" from term ${term}`);
}
