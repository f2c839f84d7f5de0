import { createHash } from 'node:crypto';
import type { LeasePermitsResponse, PermitDemand, PermitGrant } from '@pangalactic/contracts';
import { MinuteWindow } from './minute-window';
import { KEEP_MS, LEASE_MS, RECHECK_MS, REMEMBERED_MS, REPORT_MS } from './permit-timing';
import type { RateDecision } from './rate-limiter';
import { RecentMap } from './recent-map';

type Settle = (decision: RateDecision) => void;

/** One caller, as this gateway knows it. */
interface Account {
  /** What this gateway has admitted. */
  readonly window: MinuteWindow;
  /** The part of it that the hub has not acknowledged, and the part that it is being told. */
  unreported: MinuteWindow;
  reporting: MinuteWindow;
  /** Permits, valid until `heldUntil`. */
  held: number;
  heldUntil: number;
  /** Requests without a permit, oldest first. */
  readonly waiting: Settle[];
  askedAt: number;
  /** As the hub said last. */
  available: number;
  retryAt: number;
}

/** Requests that wait for the hub at once, of one caller; the rest is refused for a moment. */
const MAX_WAITING = 1_000;
export const MAX_DEMANDS = 1_000;

/**
 * A gateway's side of the rate limit: admits requests from permits that the hub has leased to it, asks for more before
 * they run out, and tells what it used. While no hub can be asked it admits its share of the limit: the limit divided by
 * the gateways that the hub has counted last. Pure but for its memory: `collect` says what to ask the hub, `settle` and
 * `failed` how that ended, one question at a time; times are milliseconds of any clock that does not go backwards.
 */
export class LeasedLimiter {
  /** By digest. */
  private readonly accounts: RecentMap<Account>;
  /** Those of whom the hub is to hear. */
  private readonly active = new Set<string>();
  /** What the hub is being asked. */
  private asked: string[] = [];
  private gateways = 1;
  private knownTerm = 0;
  /** Undefined until the hub has answered for the first time, or did not. */
  private leased: boolean | undefined;

  constructor(
    private readonly limit: number,
    /** Beyond that many some are forgotten: the price of bounded memory. What they used the hub knows or assumes. */
    maximumCallers = 10_000,
  ) {
    this.accounts = new RecentMap(maximumCallers, REMEMBERED_MS, newAccount, (account, now) => {
      for (const settle of account.waiting) settle(this.refuse(account, now));
    });
  }

  /** Of the hub that answered last; 0 before. */
  get term(): number {
    return this.knownTerm;
  }

  /** Whether permits come from the hub; otherwise this gateway admits its share. */
  get isLeased(): boolean {
    return this.leased === true;
  }

  /** What this gateway admits per minute of each caller without a hub. At least 1, whatever the number of gateways. */
  get share(): number {
    return Math.max(1, Math.floor(this.limit / this.gateways));
  }

  get callers(): number {
    return this.accounts.size;
  }

  /** Calls `settle` now or, when the hub has to be asked first, at the end of a question. */
  take(caller: string, now: number, settle: Settle): void {
    const key = digest(caller);
    const account = this.accounts.use(key, now);
    this.active.add(key);
    if (this.leased === false) return settle(this.decideAlone(account, now));
    if (account.held > 0 && now < account.heldUntil) return settle(this.admit(account, now));
    const isRefused = now < Math.min(account.retryAt, account.askedAt + RECHECK_MS);
    if (isRefused || account.waiting.length >= MAX_WAITING) return settle(this.refuse(account, now));
    account.waiting.push(settle);
  }

  /** What the hub should be asked and told now: at most 1,000 callers, the rest next time. */
  collect(now: number): PermitDemand[] {
    const demands: PermitDemand[] = [];
    for (const caller of this.active) {
      if (demands.length === MAX_DEMANDS) break;
      const account = this.accounts.get(caller);
      const demand = account && this.demand(caller, account, now);
      if (demand) demands.push(demand);
      else if (!account || isIdle(account)) this.active.delete(caller);
    }
    this.asked = demands.map(({ caller }) => caller);
    return demands;
  }

  /** @param askedAt when the question was sent: leases count from then */
  settle({ term, gateways, recovering, grants }: LeasePermitsResponse, askedAt: number, now: number): void {
    this.gateways = Math.max(1, gateways);
    if (term !== this.knownTerm) this.beginTerm(term);
    this.leased = !recovering;
    this.asked.forEach((caller, index) => {
      const account = this.accounts.get(caller);
      const grant = grants[index];
      if (!account || !grant) return;
      account.reporting = new MinuteWindow();
      this.takeGrant(account, grant, askedAt, now);
    });
    this.asked = [];
    if (recovering) this.decideWaiting(now);
  }

  /** The hub did not answer. */
  failed(now: number): void {
    this.leased = false;
    this.asked = [];
    for (const [, account] of this.accounts.entries()) {
      for (const { at, count } of account.reporting.uses) account.unreported.add(at, count);
      account.reporting = new MinuteWindow();
      account.held = 0;
    }
    this.decideWaiting(now);
  }

  private demand(caller: string, account: Account, now: number): PermitDemand | undefined {
    const waiting = account.waiting.length;
    const wanted = this.leased === false ? 0 : permitsWanted(account.window, now);
    const isDue = now >= account.askedAt + REPORT_MS;
    const isHolding = account.held > 0 && now < account.heldUntil;
    // Permits of a caller who is silent may be of use elsewhere.
    if (!isHolding || (isDue && wanted === 0)) account.held = 0;
    const isShort = account.held * 2 < wanted && account.available > 0;
    const isReport = isDue && (isHolding || account.unreported.total(now) > 0);
    if (waiting === 0 && !isShort && !isReport) return undefined;
    account.reporting = account.unreported;
    account.unreported = new MinuteWindow();
    account.askedAt = now;
    return {
      caller,
      limitPerMinute: this.limit,
      uses: account.reporting.uses.map(({ at, count }) => ({ ageMs: Math.floor(now - at), count })),
      held: account.held,
      waiting,
      spare: Math.max(0, wanted - account.held),
    };
  }

  private takeGrant(account: Account, { granted, available, retryAfterMs }: PermitGrant, askedAt: number, now: number) {
    account.held = (now < account.heldUntil ? account.held : 0) + granted;
    account.heldUntil = askedAt + LEASE_MS;
    account.available = available;
    account.retryAt = available > 0 ? 0 : now + retryAfterMs;
    while (account.waiting.length > 0 && account.held > 0) account.waiting.shift()!(this.admit(account, now));
    if (available > 0) return;
    for (const settle of account.waiting.splice(0)) settle(this.refuse(account, now));
  }

  /** Another hub leads: it knows nothing of what was admitted lately. */
  private beginTerm(term: number): void {
    this.knownTerm = term;
    for (const [caller, account] of this.accounts.entries()) {
      account.held = 0;
      account.reporting = new MinuteWindow();
      account.unreported = new MinuteWindow();
      for (const { at, count } of account.window.uses) account.unreported.add(at, count);
      account.askedAt = -Infinity;
      this.active.add(caller);
    }
  }

  private decideWaiting(now: number): void {
    for (const [, account] of this.accounts.entries()) {
      for (const settle of account.waiting.splice(0)) settle(this.decideAlone(account, now));
    }
  }

  private decideAlone(account: Account, now: number): RateDecision {
    const left = this.share - account.window.total(now);
    account.available = Math.max(0, left - 1);
    account.held = 0;
    if (left > 0) return this.count(account, now);
    account.retryAt = now + account.window.forgottenAfterMs(now, 1 - left);
    return this.refuse(account, now);
  }

  private admit(account: Account, now: number): RateDecision {
    account.held -= 1;
    return this.count(account, now);
  }

  private count(account: Account, now: number): RateDecision {
    for (const uses of [account.window, account.unreported]) {
      uses.total(now);
      uses.add(now);
    }
    const remaining = account.held + account.available;
    return { admitted: true, remaining, retryAfterMs: 0, resetAfterMs: account.window.emptyAfterMs(now) };
  }

  private refuse(account: Account, now: number): RateDecision {
    const retryAfterMs = Math.max(1, Math.ceil(account.retryAt - now));
    const resetAfterMs = Math.max(retryAfterMs, account.window.emptyAfterMs(now));
    return { admitted: false, remaining: 0, retryAfterMs, resetAfterMs };
  }
}

function newAccount(): Account {
  return {
    window: new MinuteWindow(),
    unreported: new MinuteWindow(),
    reporting: new MinuteWindow(),
    held: 0,
    heldUntil: 0,
    waiting: [],
    askedAt: -Infinity,
    available: 0,
    retryAt: 0,
  };
}

/** As many as were used in the last second, and one as long as another request is likely. */
function permitsWanted(window: MinuteWindow, now: number): number {
  return Math.max(window.totalSince(now - REPORT_MS), window.totalSince(now - KEEP_MS) > 0 ? 1 : 0);
}

/** There is nothing that the hub should hear. */
function isIdle({ waiting, held, unreported, reporting }: Account): boolean {
  return waiting.length === 0 && held === 0 && unreported.uses.length === 0 && reporting.uses.length === 0;
}

/** So that neither the hub nor anybody on the way learns a key's id or an address. */
function digest(caller: string): string {
  return createHash('sha256').update(`pangalactic rate limit: ${caller}`).digest('base64url').slice(0, 22);
}
