import { Inject, Injectable } from '@nestjs/common';
import type { CanActivate, ExecutionContext } from '@nestjs/common';
import { Reflector } from '@nestjs/core';
import { PangalacticError } from '@pangalactic/contracts';
import { AUTH_OPTIONS } from '../auth-options';
import type { AuthOptions } from '../auth-options';
import { requestOf, setHeader } from '../http-exchange';
import { isPublic } from '../public.decorator';
import { RATE_LIMITER } from './rate-limiter';
import type { RateLimiter } from './rate-limiter';

/**
 * Limits the requests per minute of each API key, or of each client address where no key is asked for (a token that
 * nobody checks could be changed with every request). Runs after ApiKeyGuard.
 */
@Injectable()
export class RateLimitGuard implements CanActivate {
  constructor(
    @Inject(AUTH_OPTIONS) private readonly options: AuthOptions,
    @Inject(RATE_LIMITER) private readonly limiter: RateLimiter,
    private readonly reflector: Reflector,
  ) {}

  async canActivate(context: ExecutionContext): Promise<boolean> {
    const limit = this.options.rateLimitPerMinute;
    if (context.getType() !== 'http' || limit === 0 || isPublic(context, this.reflector)) return true;
    const { apiKeyId, ip } = requestOf(context);
    const caller = apiKeyId === undefined ? `address ${ip}` : `key ${apiKeyId}`;
    const { admitted, remaining, retryAfterMs, resetAfterMs } = await this.limiter.take(caller);
    setHeader(context, 'x-ratelimit-limit-requests', limit);
    setHeader(context, 'x-ratelimit-remaining-requests', remaining);
    setHeader(context, 'x-ratelimit-reset-requests', formatDuration(resetAfterMs));
    if (admitted) return true;

    const retryAfterSeconds = Math.ceil(retryAfterMs / 1000);
    setHeader(context, 'retry-after', retryAfterSeconds);
    throw new PangalacticError(
      'rate_limit_exceeded',
      `rate limit reached: ${limit} requests per minute; try again in ${retryAfterSeconds} s`,
      { retryAfterSeconds },
    );
  }
}

/** Whole milliseconds as OpenAI writes them: `120ms`, `1s`, `1m0s`. Seconds are rounded up: waiting that long is enough. */
export function formatDuration(milliseconds: number): string {
  if (milliseconds < 1000) return `${milliseconds}ms`;
  const seconds = Math.ceil(milliseconds / 1000);
  return seconds < 60 ? `${seconds}s` : `${Math.floor(seconds / 60)}m${seconds % 60}s`;
}
