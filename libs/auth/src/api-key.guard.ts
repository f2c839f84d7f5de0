import { createHash } from 'node:crypto';
import { Inject, Injectable } from '@nestjs/common';
import type { CanActivate, ExecutionContext } from '@nestjs/common';
import { Reflector } from '@nestjs/core';
import { PangalacticError } from '@pangalactic/contracts';
import { AUTH_OPTIONS } from './auth-options';
import type { AuthOptions } from './auth-options';
import { requestOf, setHeader } from './http-exchange';
import { isPublic } from './public.decorator';
import { timingSafeEqualStrings } from './timing-safe-equal-strings';

/** Admits HTTP requests with `Authorization: Bearer <a key>`. gRPC calls are the cluster token's business. */
@Injectable()
export class ApiKeyGuard implements CanActivate {
  constructor(
    @Inject(AUTH_OPTIONS) private readonly options: AuthOptions,
    private readonly reflector: Reflector,
  ) {}

  canActivate(context: ExecutionContext): boolean {
    const { apiKey } = this.options;
    if (context.getType() !== 'http' || apiKey === undefined || isPublic(context, this.reflector)) return true;
    const request = requestOf(context);
    const presented = bearerToken(request.headers.authorization);
    if (presented === undefined || !isOneOf(presented, apiKey())) {
      setHeader(context, 'www-authenticate', 'Bearer');
      throw new PangalacticError('invalid_api_key', refusal(request.headers.authorization, presented));
    }
    request.apiKeyId = createHash('sha256').update(presented).digest('hex').slice(0, 16);
    return true;
  }
}

/** Compares with every one, so that the time tells nothing about which one it was. */
function isOneOf(presented: string, keys: readonly string[]): boolean {
  return keys.map((key) => timingSafeEqualStrings(presented, key)).includes(true);
}

function bearerToken(authorization: string | undefined): string | undefined {
  return /^Bearer +(\S+) *$/i.exec(authorization ?? '')?.[1];
}

/** Never quotes what was presented: it may be a real key of somewhere else. */
function refusal(authorization: string | undefined, presented: string | undefined): string {
  if (presented !== undefined) return 'the API key is not valid here';
  const found = authorization ? 'another Authorization header' : 'no API key';
  return `the request carries ${found}: send "Authorization: Bearer <API key>"`;
}
