import type { LeasePermitsResponse, PermitDemand, PermitGrant } from '@pangalactic/contracts';
import { MinuteWindow } from './minute-window';
import { GATEWAY_SILENCE_MS, LEASE_MS, RECOVERY_MS, REMEMBERED_MS } from './permit-timing';
import { RecentMap } from './recent-map';

interface Lease {
  held: number;
  expiresAt: number;
}

/** One caller. Its limit comes with each demand: gateways know it, the hub has no configuration of it. */
interface Account {
  /** Uses that gateways have told, and leases that ran out without a word. */
  readonly window: MinuteWindow;
  /** Per gateway. */
  readonly leases: Map<string, Lease>;
}

/**
 * The hub's side of the rate limit: hands out permits so that what all gateways admit within any minute never exceeds a
 * caller's limit. A permit counts from when it is granted until a minute after its use was reported (or its lease ran
 * out), so every request counts for at least the minute after it was admitted. Pure but for its memory.
 */
export class PermitLedger {
  private readonly accounts: RecentMap<Account>;
  /** When each gateway was heard last. */
  private readonly gateways = new Map<string, number>();

  constructor(
    readonly term: number,
    private readonly startedAt: number,
    /** Beyond that many some are forgotten, i.e. start afresh: the price of bounded memory. */
    maximumCallers = 100_000,
  ) {
    this.accounts = new RecentMap(maximumCallers, REMEMBERED_MS, () => ({
      window: new MinuteWindow(),
      leases: new Map<string, Lease>(),
    }));
  }

  /** Demands for another term are ignored: the gateway has more to tell this hub than it knows. */
  lease(gatewayId: string, term: number, demands: readonly PermitDemand[], now: number): LeasePermitsResponse {
    this.hear(gatewayId, now);
    const recovering = now < this.startedAt + RECOVERY_MS;
    const grants = term === this.term ? demands.map((demand) => this.grant(gatewayId, demand, recovering, now)) : [];
    return { term: this.term, gateways: this.gateways.size, recovering, grants };
  }

  get callers(): number {
    return this.accounts.size;
  }

  private grant(gatewayId: string, demand: PermitDemand, recovering: boolean, now: number): PermitGrant {
    const { window, leases } = this.accounts.use(demand.caller, now);
    for (const { ageMs, count } of demand.uses) window.add(now - ageMs, count);
    leases.delete(gatewayId);
    endLeases(leases, window, now);
    const outstanding = [...leases.values()].reduce((sum, { held }) => sum + held, demand.held);
    const excess = window.total(now) + outstanding - demand.limitPerMinute;
    const free = recovering ? 0 : Math.max(0, -excess);
    const granted = this.share(free, demand);
    const held = demand.held + granted;
    if (held > 0) leases.set(gatewayId, { held, expiresAt: now + LEASE_MS });
    const available = free - granted;
    if (available > 0) return { granted, available, retryAfterMs: 0 };
    return { granted, available, retryAfterMs: nextPermitAfterMs({ leases, window }, excess + granted + 1, now) };
  }

  /** Who waits gets what there is; in advance a gateway gets no more than leaves as much for each of the others. */
  private share(free: number, { waiting, spare }: PermitDemand): number {
    const now = Math.min(free, waiting);
    return now + Math.min(spare, Math.floor((free - now) / (this.gateways.size + 1)));
  }

  private hear(gatewayId: string, now: number): void {
    this.gateways.set(gatewayId, now);
    for (const [id, heardAt] of this.gateways) if (heardAt + GATEWAY_SILENCE_MS <= now) this.gateways.delete(id);
  }
}

/** Of a gateway that is silent nobody knows what it used: all of it counts. */
function endLeases(leases: Map<string, Lease>, window: MinuteWindow, now: number): void {
  for (const [gatewayId, { held, expiresAt }] of leases) {
    if (expiresAt > now) continue;
    window.add(expiresAt, held);
    leases.delete(gatewayId);
  }
}

/** When `count` uses are forgotten; or, while too many permits are out on lease for that, when some may come back. */
function nextPermitAfterMs({ leases, window }: Account, count: number, now: number): number {
  const forgotten = window.forgottenAfterMs(now, count);
  if (forgotten > 0) return forgotten;
  const ends = [...leases.values()].map(({ expiresAt }) => expiresAt - now);
  return Math.max(1, Math.ceil(Math.min(LEASE_MS, ...ends)));
}
