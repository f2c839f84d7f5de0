import { randomUUID } from 'node:crypto';
import { Logger } from '@nestjs/common';
import type { OnApplicationBootstrap, OnApplicationShutdown } from '@nestjs/common';
import { KEEPALIVE_MS, LeasedLimiter, MAX_DEMANDS } from '@pangalactic/auth';
import type { RateDecision, RateLimiter } from '@pangalactic/auth';
import { formatAddress } from '@pangalactic/config';
import type { GatewayConfig } from '@pangalactic/config';
import { toPangalacticError } from '@pangalactic/contracts';
import type { LeasePermitsRequest, LeasePermitsResponse } from '@pangalactic/contracts';
import { Backoff, HubClients } from '@pangalactic/transport';
import { delay } from '../abort';
import type { Clock } from '../clock';

/** The longest that a request without a permit waits for a hub that does not answer. */
const ANSWER_DEADLINE_MS = 500;
/** How often it is looked whether the hub should be asked, when no request waits. */
const TICK_MS = 100;

/** The rate limit over all gateways: leases permits from the hub that leads, one question at a time. */
export class HubPermits implements RateLimiter, OnApplicationBootstrap, OnApplicationShutdown {
  private readonly logger = new Logger('rate-limit');
  private readonly stopped = new AbortController();
  private readonly gatewayId = randomUUID();
  private readonly limiter: LeasedLimiter;
  private readonly hubs: HubClients;
  private asking: Promise<void> | undefined;
  /** Aborted when a request has begun to wait since the hub was asked last. */
  private woken = new AbortController();
  /** So that each change is one line in the log. */
  private wasLeased: boolean | undefined;

  constructor(
    private readonly config: GatewayConfig,
    private readonly now: Clock,
  ) {
    this.limiter = new LeasedLimiter(config.rateLimitPerMinute);
    this.hubs = new HubClients(config.hubAddresses.map(formatAddress), { clusterToken: config.clusterToken });
  }

  take(caller: string): RateDecision | Promise<RateDecision> {
    let decision: RateDecision | undefined;
    let resolve: (settled: RateDecision) => void = (settled) => (decision = settled);
    this.limiter.take(caller, this.now(), (settled) => resolve(settled));
    if (decision) return decision;
    this.woken.abort();
    return new Promise((settle) => (resolve = settle));
  }

  onApplicationBootstrap(): void {
    if (this.config.rateLimitPerMinute > 0) this.asking = this.askForever(this.stopped.signal);
  }

  async onApplicationShutdown(): Promise<void> {
    this.stopped.abort();
    await this.asking;
    this.hubs.close();
  }

  private async askForever(signal: AbortSignal): Promise<void> {
    const backoff = new Backoff({ initialMs: 200, maxMs: 2_000, random: Math.random });
    let nextKeepalive = 0;
    while (!signal.aborted) {
      this.woken = new AbortController();
      const askedAt = this.now();
      const demands = this.limiter.collect(askedAt);
      if (demands.length === 0 && askedAt < nextKeepalive) {
        await this.untilWoken(signal);
        continue;
      }
      try {
        const { term } = this.limiter;
        const answer = await this.ask({ gatewayId: this.gatewayId, term, demands }, signal);
        this.limiter.settle(answer, askedAt, this.now());
        backoff.reset();
        nextKeepalive = askedAt + KEEPALIVE_MS;
        this.logMode(answer.recovering ? 'the hub has just begun to lead' : undefined);
        if (demands.length < MAX_DEMANDS) await this.untilWoken(signal);
      } catch (error) {
        this.limiter.failed(this.now());
        if (signal.aborted) break;
        this.logMode(toPangalacticError(error).message);
        await delay(backoff.nextDelayMs(), signal).catch(() => undefined);
      }
    }
    // Nobody is left waiting for an answer.
    this.limiter.failed(this.now());
  }

  private ask(request: LeasePermitsRequest, signal: AbortSignal): Promise<LeasePermitsResponse> {
    return this.hubs.call((hub) => hub.leasePermits(request, { deadlineMs: ANSWER_DEADLINE_MS, signal }));
  }

  private async untilWoken(signal: AbortSignal): Promise<void> {
    await delay(TICK_MS, AbortSignal.any([signal, this.woken.signal])).catch(() => undefined);
  }

  private logMode(reason: string | undefined): void {
    const { isLeased, share } = this.limiter;
    if (isLeased === this.wasLeased) return;
    this.wasLeased = isLeased;
    if (isLeased) this.logger.log({ event: 'rate_limit_leased' });
    else this.logger.warn({ event: 'rate_limit_local', sharePerMinute: share, reason });
  }
}
