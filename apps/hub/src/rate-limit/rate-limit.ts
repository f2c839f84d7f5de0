import { Inject, Injectable } from '@nestjs/common';
import { MAX_DEMANDS, PermitLedger } from '@pangalactic/auth';
import { PangalacticError, type LeasePermitsRequest, type LeasePermitsResponse } from '@pangalactic/contracts';
import { CLOCK, type Clock } from '../clock';
import { Reconciler } from '../cluster/reconciler';
import { Standby } from '../cluster/standby';

const MAX_ID_LENGTH = 128;
const MAX_USES = 1_000;

/** Leases permits to gateways. What it knows lives in memory: after a change of the leader gateways tell it again. */
@Injectable()
export class RateLimit {
  private ledger: PermitLedger | undefined;

  constructor(
    private readonly reconciler: Reconciler,
    private readonly standby: Standby,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /** @throws PangalacticError `not_leader`, `invalid_request` */
  async lease({ gatewayId, term, demands }: LeasePermitsRequest): Promise<LeasePermitsResponse> {
    const { leadership } = this.reconciler;
    if (!leadership) throw await this.standby.refusal();
    requireBounded('gateway_id', gatewayId.length, MAX_ID_LENGTH);
    if (demands.length > MAX_DEMANDS) throw invalid('demands', demands.length, `at most ${MAX_DEMANDS}`);
    for (const { caller, limitPerMinute, uses } of demands) {
      requireBounded('caller', caller.length, MAX_ID_LENGTH);
      if (limitPerMinute === 0) throw invalid('limit_per_minute', 0, 'at least 1');
      if (uses.length > MAX_USES) throw invalid('uses', uses.length, `at most ${MAX_USES}`);
    }
    const now = this.clock.now();
    if (this.ledger?.term !== leadership.term) this.ledger = new PermitLedger(leadership.term, now);
    return this.ledger.lease(gatewayId, term, demands, now);
  }
}

function requireBounded(field: string, length: number, maximum: number): void {
  if (length === 0 || length > maximum) throw invalid(field, length, `1 to ${maximum} characters`);
}

function invalid(field: string, value: number, allowed: string): PangalacticError {
  return new PangalacticError('invalid_request', `${field}: ${value}; allowed: ${allowed}`);
}
