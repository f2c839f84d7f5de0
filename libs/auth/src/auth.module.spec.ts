import { Catch, Controller, Get, Res } from '@nestjs/common';
import type { ArgumentsHost, ExceptionFilter, ExecutionContext } from '@nestjs/common';
import { Reflector } from '@nestjs/core';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { Test } from '@nestjs/testing';
import { PangalacticError } from '@pangalactic/contracts';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { ApiKeyGuard } from './api-key.guard';
import type { AuthOptions } from './auth-options';
import { AuthModule } from './auth.module';
import { Public } from './public.decorator';
import { LeasedLimiter } from './rate-limit/leased-limiter';
import { formatDuration, RateLimitGuard } from './rate-limit/rate-limit.guard';
import type { RateDecision, RateLimiter } from './rate-limit/rate-limiter';

interface Reply {
  hijack(): void;
  status(code: number): { send(body: unknown): void };
  raw: { writeHead(status: number, headers: object): { end(body: string): void } };
}

@Controller()
class TestController {
  @Get('v1/models')
  models() {
    return { data: [] };
  }

  @Get('v1/stream')
  stream(@Res() reply: Reply) {
    reply.hijack();
    reply.raw.writeHead(200, { 'content-type': 'text/event-stream' }).end('data: [DONE]\n\n');
  }

  @Public()
  @Get('healthz')
  health() {
    return { alive: true };
  }
}

@Public()
@Controller('metrics')
class PublicController {
  @Get()
  metrics() {
    return '';
  }
}

@Catch(PangalacticError)
class TestFilter implements ExceptionFilter<PangalacticError> {
  catch({ code, message, row, retryAfterSeconds }: PangalacticError, host: ArgumentsHost) {
    host.switchToHttp().getResponse<Reply>().status(row.http).send({ code, message, retryAfterSeconds });
  }
}

let app: NestFastifyApplication | undefined;
afterEach(async () => {
  await app?.close();
  app = undefined;
});

/** A gateway alone. */
function localLimiter(limit: number): RateLimiter {
  const limiter = new LeasedLimiter(limit);
  limiter.failed(0);
  return { take: (caller) => new Promise<RateDecision>((settle) => limiter.take(caller, performance.now(), settle)) };
}

async function start(changes: Partial<AuthOptions>) {
  const options = { apiKey: undefined, rateLimitPerMinute: 0, ...changes };
  const testing = await Test.createTestingModule({
    imports: [AuthModule.forRoot(options, () => localLimiter(options.rateLimitPerMinute))],
    controllers: [TestController, PublicController],
  }).compile();
  app = testing.createNestApplication<NestFastifyApplication>(new FastifyAdapter());
  app.useGlobalFilters(new TestFilter());
  await app.init();
  await app.getHttpAdapter().getInstance().ready();
}

const get = (url: string, headers: Record<string, string> = {}, remoteAddress = '10.0.0.1') =>
  app!.inject({ method: 'GET', url, headers, remoteAddress });
const bearer = (key: string) => ({ authorization: `Bearer ${key}` });

describe('the API key', () => {
  it.each([
    ['the key', 'Bearer sk-right'],
    ['a scheme in lower case', 'bearer sk-right'],
    ['more spaces', 'Bearer   sk-right '],
  ])('%s is admitted', async (_, authorization) => {
    await start({ apiKey: () => ['sk-right'] });
    expect((await get('/v1/models', { authorization })).statusCode).toBe(200);
  });

  it.each([
    ['no header', {}, /no API key: send "Authorization: Bearer <API key>"/],
    ['an empty header', { authorization: '' }, /no API key/],
    ['another scheme', { authorization: 'Basic sk-right' }, /another Authorization header/],
    ['the key alone', { authorization: 'sk-right' }, /another Authorization header/],
    ['two tokens', { authorization: 'Bearer sk-right x' }, /another Authorization header/],
    ['another key', bearer('sk-wrong'), /not valid/],
    ['a prefix of the key', bearer('sk-righ'), /not valid/],
    ['more than the key', bearer('sk-rightx'), /not valid/],
    ['another case', bearer('SK-RIGHT'), /not valid/],
  ])('%s is refused', async (_, headers, message) => {
    await start({ apiKey: () => ['sk-right'] });
    const response = await get('/v1/models', headers);
    expect(response.statusCode).toBe(401);
    expect(response.headers['www-authenticate']).toBe('Bearer');
    expect(response.json<{ code: string }>().code).toBe('invalid_api_key');
    expect(response.json<{ message: string }>().message).toMatch(message);
    expect(response.body).not.toMatch(/sk-/i);
  });

  it('may be any of several, each with a limit of its own, and may change', async () => {
    let keys = ['sk-one', 'sk-two'];
    await start({ apiKey: () => keys, rateLimitPerMinute: 1 });
    const status = async (key: string) => (await get('/v1/models', bearer(key))).statusCode;
    expect([await status('sk-one'), await status('sk-two'), await status('sk-two')]).toEqual([200, 200, 429]);
    keys = ['sk-three'];
    expect([await status('sk-one'), await status('sk-three')]).toEqual([401, 200]);
  });

  it('is not asked for on public routes and controllers', async () => {
    await start({ apiKey: () => ['sk-right'] });
    expect((await get('/healthz')).statusCode).toBe(200);
    expect((await get('/metrics')).statusCode).toBe(200);
  });

  it('is not asked for when none is configured', async () => {
    await start({});
    expect((await get('/v1/models')).statusCode).toBe(200);
    expect((await get('/v1/models', bearer('anything'))).statusCode).toBe(200);
  });
});

describe('the rate limit', () => {
  // The clock stands still: however slow the machine is, nothing drains between two requests.
  beforeEach(() => void vi.useFakeTimers({ toFake: ['performance'] }));
  afterEach(() => void vi.useRealTimers());

  const statuses = async (count: number, ...request: Parameters<typeof get>) => {
    const codes: number[] = [];
    for (let index = 0; index < count; index++) codes.push((await get(...request)).statusCode);
    return codes;
  };

  it('answers 429 with the time to wait', async () => {
    await start({ rateLimitPerMinute: 2 });
    expect(await statuses(2, '/v1/models')).toEqual([200, 200]);
    const response = await get('/v1/models');
    expect(response.statusCode).toBe(429);
    expect(response.json()).toEqual({
      code: 'rate_limit_exceeded',
      message: 'rate limit reached: 2 requests per minute; try again in 60 s',
      retryAfterSeconds: 60,
    });
    expect(response.headers).toMatchObject({
      'retry-after': '60',
      'x-ratelimit-limit-requests': '2',
      'x-ratelimit-remaining-requests': '0',
      'x-ratelimit-reset-requests': '1m0s',
    });
  });

  it('tells how much is left, also on streams', async () => {
    await start({ rateLimitPerMinute: 60 });
    for (const [url, remaining, reset] of [
      ['/v1/models', '59', '1m0s'],
      ['/v1/stream', '58', '1m0s'],
    ] as const) {
      const { headers } = await get(url);
      expect(headers).toMatchObject({
        'x-ratelimit-limit-requests': '60',
        'x-ratelimit-remaining-requests': remaining,
        'x-ratelimit-reset-requests': reset,
      });
      expect(headers).not.toHaveProperty('retry-after');
    }
  });

  it('counts an accepted key, wherever it comes from', async () => {
    await start({ apiKey: () => ['sk-right'], rateLimitPerMinute: 1 });
    expect(await statuses(1, '/v1/models', bearer('sk-right'), '10.0.0.1')).toEqual([200]);
    expect(await statuses(1, '/v1/models', bearer('sk-right'), '10.0.0.2')).toEqual([429]);
  });

  it('counts addresses without a key; tokens that nobody checks make no difference', async () => {
    await start({ rateLimitPerMinute: 1 });
    expect(await statuses(1, '/v1/models', bearer('one'), '10.0.0.1')).toEqual([200]);
    expect(await statuses(1, '/v1/models', bearer('two'), '10.0.0.1')).toEqual([429]);
    expect(await statuses(1, '/v1/models', {}, '10.0.0.2')).toEqual([200]);
  });

  it('does not count refused keys or public routes', async () => {
    await start({ apiKey: () => ['sk-right'], rateLimitPerMinute: 1 });
    expect(await statuses(3, '/v1/models', bearer('sk-wrong'))).toEqual([401, 401, 401]);
    expect(await statuses(3, '/healthz')).toEqual([200, 200, 200]);
    expect(await statuses(2, '/v1/models', bearer('sk-right'))).toEqual([200, 429]);
  });

  it('is off at 0', async () => {
    await start({ rateLimitPerMinute: 0 });
    expect(await statuses(20, '/v1/models')).toEqual(Array(20).fill(200));
    expect((await get('/v1/models')).headers).not.toHaveProperty('x-ratelimit-limit-requests');
  });
});

it('lets gRPC calls pass, which have neither headers nor replies', async () => {
  const options = { apiKey: () => ['sk-right'], rateLimitPerMinute: 1 };
  const call = { getType: () => 'rpc' } as unknown as ExecutionContext;
  const keys = new ApiKeyGuard(options, new Reflector());
  const limits = new RateLimitGuard(options, localLimiter(1), new Reflector());
  expect([keys.canActivate(call), await limits.canActivate(call), await limits.canActivate(call)]).toEqual(
    Array(3).fill(true),
  );
});

describe('formatDuration', () => {
  it.each([
    [0, '0ms'],
    [120, '120ms'],
    [999, '999ms'],
    [1000, '1s'],
    [1001, '2s'],
    [59_001, '1m0s'],
    [60_000, '1m0s'],
    [61_500, '1m2s'],
  ])('%d ms is %s', (milliseconds, text) => {
    expect(formatDuration(milliseconds)).toBe(text);
  });
});
