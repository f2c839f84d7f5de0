import { Body, Controller, Get, InternalServerErrorException, Logger as NestLogger, Post, Res } from '@nestjs/common';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { Test } from '@nestjs/testing';
import { AuthModule } from '@pangalactic/auth';
import { makeCounterProvider, InjectMetric } from '@willsoto/nestjs-prometheus';
import { Logger } from 'nestjs-pino';
import { Counter } from 'prom-client';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { loggingModule } from './logging.module';
import { metricsModule } from './metrics/metrics.module';

const SECRET = 'sk-secret';
const PROMPT = 'tell nobody about this';

interface Reply {
  hijack(): void;
  raw: { writeHead(status: number): { end(body: string): void } };
}

@Controller()
class TestController {
  private readonly logger = new NestLogger('test');

  constructor(@InjectMetric('test_calls_total') private readonly calls: Counter) {}

  @Post('v1/echo')
  echo(@Body() body: unknown) {
    this.calls.inc();
    this.logger.log({ event: 'echoed', authorization: SECRET, nested: { config: { apiKey: SECRET } } });
    return body;
  }

  @Get('v1/stream')
  stream(@Res() reply: Reply) {
    reply.hijack();
    reply.raw.writeHead(200).end('data: [DONE]\n\n');
  }

  @Get('v1/broken')
  broken() {
    throw new InternalServerErrorException('broken');
  }

  @Get('healthz')
  health() {
    return {};
  }
}

type Line = Record<string, unknown> & { req?: Record<string, unknown> };

let app: NestFastifyApplication;
let output: string[];
const lines = () => output.map((line) => JSON.parse(line) as Line);
const requests = () => lines().filter(({ event }) => event === 'http_request');

async function start(level: string) {
  output = [];
  const destination = { write: (line: string) => void output.push(line) };
  const testing = await Test.createTestingModule({
    imports: [
      loggingModule('gateway', level, destination),
      metricsModule('gateway'),
      AuthModule.forRoot({ apiKey: () => [SECRET], rateLimitPerMinute: 0 }, () => ({
        take: () => Promise.reject(new Error('no limit')),
      })),
    ],
    controllers: [TestController],
    providers: [makeCounterProvider({ name: 'test_calls_total', help: 'Calls.' })],
  }).compile();
  app = testing.createNestApplication<NestFastifyApplication>(new FastifyAdapter());
  app.useLogger(app.get(Logger));
  await app.init();
  await app.getHttpAdapter().getInstance().ready();
}

beforeEach(() => start('info'));
afterEach(() => app.close());

const authorization = `Bearer ${SECRET}`;
const get = (url: string, headers: Record<string, string> = {}) =>
  app.inject({ method: 'GET', url, headers: { authorization, ...headers } });
const echo = () =>
  app.inject({
    method: 'POST',
    url: `/v1/echo?key=${SECRET}`,
    headers: { authorization },
    payload: { prompt: PROMPT },
  });

describe('the log', () => {
  it('has one structured line per request', async () => {
    await get('/v1/stream', { 'x-request-id': 'abc' });
    expect(requests()).toEqual([
      {
        level: 'info',
        time: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/) as string,
        process: 'gateway',
        requestId: 'abc',
        event: 'http_request',
        req: { method: 'GET', path: '/v1/stream', remoteAddress: '127.0.0.1' },
        res: { statusCode: 200 },
        responseTime: expect.any(Number) as number,
        msg: 'request completed',
      },
    ]);
  });

  it('gives lines within a request its id, and the event its fields', async () => {
    const response = await echo();
    const echoed = lines().find(({ event }) => event === 'echoed');
    expect(echoed).toMatchObject({ context: 'test', requestId: response.headers['x-request-id'] });
    expect(echoed).not.toHaveProperty('req');
  });

  it('holds neither prompts nor credentials', async () => {
    expect((await echo()).json()).toEqual({ prompt: PROMPT });
    expect(requests()).toHaveLength(1);
    expect(output.join('')).not.toContain(SECRET);
    expect(output.join('')).not.toContain(PROMPT);
    expect(lines().find(({ event }) => event === 'echoed')).toMatchObject({
      authorization: '***',
      nested: { config: { apiKey: '***' } },
    });
  });

  it('reports failures as errors', async () => {
    await get('/v1/broken');
    expect(requests()).toMatchObject([{ level: 'error', res: { statusCode: 500 } }]);
  });

  it('leaves out probes and scrapes', async () => {
    await get('/healthz');
    await get('/metrics?x=1');
    expect(requests()).toEqual([]);
  });

  it('says nothing when silent', async () => {
    await app.close();
    await start('silent');
    await echo();
    expect(output).toEqual([]);
  });
});

describe('the request id', () => {
  it.each(['/v1/stream', '/v1/broken', '/healthz', '/v1/missing'])('comes back from %s', async (url) => {
    expect((await get(url, { 'x-request-id': 'req-1' })).headers['x-request-id']).toBe('req-1');
  });

  it('comes back from refused requests', async () => {
    const response = await get('/v1/stream', { authorization: 'Bearer wrong', 'x-request-id': 'req-1' });
    expect(response.headers['x-request-id']).toBe('req-1');
  });

  it('is made up when the given one is not sane', async () => {
    const { headers } = await get('/v1/stream', { 'x-request-id': 'no good' });
    expect(headers['x-request-id']).toMatch(/^[0-9a-f-]{36}$/);
    expect(requests()[0]?.requestId).toBe(headers['x-request-id']);
  });
});

describe('the metrics', () => {
  it('need no key and are in the text format', async () => {
    await echo();
    const { statusCode, headers, body } = await app.inject({ method: 'GET', url: '/metrics' });
    expect(statusCode).toBe(200);
    expect(headers['content-type']).toMatch(/^text\/plain; version=0\.0\.4/);
    expect(body).toMatch(/^test_calls_total 1$/m);
    expect(body).toMatch(/^process_cpu_user_seconds_total \d/m);
  });
});
