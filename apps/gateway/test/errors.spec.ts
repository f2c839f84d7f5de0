import { PangalacticError } from '@pangalactic/contracts';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { post, startGateway, untilReady } from './gateway-harness';
import type { RunningGateway } from './gateway-harness';
import { goldenCase } from './golden';
import { answer } from './scripted-cluster';

const KEY = 'sk-test-key';
const CHAT = { model: 'pangalactic-nano', messages: goldenCase(0).messages };

let gateway: RunningGateway;
beforeAll(async () => {
  gateway = await startGateway({ GATEWAY_API_KEY: KEY });
  await untilReady(gateway.url);
});
afterAll(() => gateway.stop());
beforeEach(() => {
  gateway.cluster.script = () => answer(goldenCase(0).completionIds);
});

const authorized = { authorization: `Bearer ${KEY}` };
const send = (path: string, body: string | undefined, headers: Record<string, string>, method = 'POST') =>
  fetch(`${gateway.url}${path}`, { method, body, headers: { ...authorized, ...headers } });
const json = { 'content-type': 'application/json' };

async function failure(response: Response) {
  const body = (await response.json()) as {
    error: { type: string; param: string | null; code: string; message: string };
  };
  expect(Object.keys(body)).toEqual(['error']);
  expect(Object.keys(body.error)).toEqual(['message', 'type', 'param', 'code']);
  expect(response.headers.get('content-type')).toBe('application/json; charset=utf-8');
  expect(response.headers.get('x-request-id')).toMatch(/^[0-9a-f-]{36}$/);
  const { type, param, code, message } = body.error;
  return { status: response.status, type, param, code, message };
}

describe('errors have the shape of OpenAI', () => {
  it('bad JSON', async () => {
    expect(await failure(await send('/v1/chat/completions', '{"model":', json))).toMatchObject({
      status: 400,
      type: 'invalid_request_error',
      code: 'invalid_request',
      param: null,
    });
  });

  it.each([
    ['messages', 'messages[0]', '['.repeat(100_000) + ']'.repeat(100_000)],
    ['tools', 'tools', '['.repeat(100_000) + ']'.repeat(100_000)],
    ['stop', 'stop', '{"a":'.repeat(50_000) + '1' + '}'.repeat(50_000)],
  ])('%s nested as deeply as a body can be', async (field, param, nested) => {
    const body = `{"model":"pangalactic-nano","messages":[{"role":"user","content":"Hi"}],"${field}":${nested}}`;
    expect(await failure(await send('/v1/chat/completions', body, json))).toMatchObject({ status: 400, param });
  });

  it('an empty body', async () => {
    expect(await failure(await send('/v1/chat/completions', '', json))).toMatchObject({
      status: 400,
      code: 'invalid_request',
    });
  });

  it.each([['application/x-www-form-urlencoded'], ['text/plain'], ['application/xml']])(
    'a body of the type %s',
    async (contentType) => {
      const response = await send('/v1/chat/completions', JSON.stringify(CHAT), { 'content-type': contentType });
      expect(await failure(response)).toMatchObject({
        status: 415,
        type: 'invalid_request_error',
        code: 'unsupported_media_type',
      });
    },
  );

  it('a body that is too large', async () => {
    const body = JSON.stringify({ ...CHAT, user: 'x'.repeat(5 * 1024 * 1024) });
    expect(await failure(await send('/v1/chat/completions', body, json))).toMatchObject({
      status: 413,
      code: 'payload_too_large',
    });
  });

  it.each([
    ['POST', '/v1/nothing'],
    ['GET', '/v1/chat/completions'],
    ['DELETE', '/'],
  ])('%s %s', async (method, path) => {
    expect(await failure(await send(path, undefined, {}, method))).toMatchObject({
      status: 404,
      type: 'invalid_request_error',
      code: 'not_found',
      message: expect.stringContaining(path) as string,
    });
  });

  it.each([
    ['a wrong type', { temperature: 'hot' }, 400, 'invalid_request', 'temperature'],
    ['a field we do not support', { tools: [{ type: 'function' }] }, 400, 'unsupported_parameter', 'tools'],
    ['an unknown model', { model: 'gpt-4' }, 404, 'model_not_found', 'model'],
    [
      'a prompt beyond the context',
      { messages: [{ role: 'user', content: 'word '.repeat(600) }] },
      400,
      'context_length_exceeded',
      'messages',
    ],
  ])('%s', async (_name, fields, status, code, param) => {
    const calls = gateway.cluster.calls.length;
    for (const stream of [false, true]) {
      const response = await post(
        gateway.url,
        '/v1/chat/completions',
        { ...CHAT, ...fields, stream },
        { headers: authorized },
      );
      expect(await failure(response)).toMatchObject({ status, code, param, type: 'invalid_request_error' });
    }
    expect(gateway.cluster.calls).toHaveLength(calls);
  });

  it('a prompt that is too long by its length alone, before it is tokenised', async () => {
    const text = 'x'.repeat(1_000_000);
    const bodies: [string, object][] = [
      ['/v1/completions', { prompt: text }],
      ['/v1/chat/completions', { messages: [{ role: 'user', content: text }] }],
    ];
    for (const [path, fields] of bodies) {
      const response = await post(gateway.url, path, { model: CHAT.model, ...fields }, { headers: authorized });
      expect(await failure(response)).toMatchObject({
        status: 400,
        code: 'context_length_exceeded',
        message: expect.stringMatching(/512 tokens.* at least 714\d\d tokens/) as string,
      });
    }
  });

  it('the context error has both numbers', async () => {
    const prompt = Array<number>(700).fill(5);
    const response = await post(gateway.url, '/v1/completions', { model: CHAT.model, prompt }, { headers: authorized });
    expect((await failure(response)).message).toMatch(/512 tokens.* 700 tokens/);
  });

  it.each([
    ['no key', {}],
    ['a wrong key', { authorization: 'Bearer sk-wrong' }],
  ])('%s', async (_name, headers: Record<string, string>) => {
    const response = await fetch(`${gateway.url}/v1/models`, { headers });
    expect(await failure(response)).toMatchObject({
      status: 401,
      type: 'authentication_error',
      code: 'invalid_api_key',
    });
  });

  it('a full pipeline', async () => {
    gateway.cluster.script = () => {
      throw new PangalacticError('queue_full', '64 sequences are waiting already', { retryAfterSeconds: 3 });
    };
    const response = await post(
      gateway.url,
      '/v1/chat/completions',
      { ...CHAT, stream: true },
      { headers: authorized },
    );
    expect(response.headers.get('retry-after')).toBe('3');
    expect(await failure(response)).toMatchObject({
      status: 503,
      type: 'server_error',
      code: 'queue_full',
      message: '64 sequences are waiting already',
    });
  });

  it('a defect of the cluster, which tells nothing of its inside', async () => {
    gateway.cluster.script = () => {
      throw new Error('secret path /etc/shadow');
    };
    const response = await post(gateway.url, '/v1/chat/completions', CHAT, { headers: authorized });
    expect(await failure(response)).toEqual({
      status: 500,
      type: 'server_error',
      param: null,
      code: 'internal_error',
      message: 'The server had an error while processing the request.',
    });
  });
});

/** Every route of the gateway with one of its methods, read off Fastify's tree, so that a new one can't be forgotten. */
function routes(): { method: string; path: string }[] {
  const branches: string[] = [];
  const tree = gateway.app.getHttpAdapter().getInstance().printRoutes({ commonPrefix: false }).split('\n');
  return tree.flatMap((line) => {
    const [, indent, part, method] = /^((?:[│ ] {3})*)[├└]── (\S+)(?: \((\w+))?/.exec(line) ?? [];
    if (indent === undefined) return [];
    branches.splice(indent.length / 4, Infinity, part!);
    return method ? [{ method, path: branches.join('') }] : [];
  });
}

it('every route but the probes and the metrics asks for the key, before it looks at the body', async () => {
  const open: string[] = [];
  for (const { method, path } of routes()) {
    for (const authorization of [undefined, 'Bearer sk-other']) {
      const headers = authorization === undefined ? undefined : { authorization };
      const response = await fetch(gateway.url + path, { method, headers });
      if (response.status !== 401) open.push(path);
      else expect(await failure(response)).toMatchObject({ code: 'invalid_api_key' });
    }
  }
  expect(routes().length).toBeGreaterThan(6);
  expect([...new Set(open)].sort()).toEqual(['/healthz', '/metrics', '/readyz']);
});

it('the request id of the caller comes back', async () => {
  const response = await fetch(`${gateway.url}/v1/models`, { headers: { ...authorized, 'x-request-id': 'mine-1' } });
  expect(response.headers.get('x-request-id')).toBe('mine-1');
});

it('a key has its requests per minute, told in the headers', async () => {
  const limited = await startGateway({ GATEWAY_API_KEY: KEY, GATEWAY_RATE_LIMIT_RPM: '2' });
  try {
    await untilReady(limited.url);
    const list = () => fetch(`${limited.url}/v1/models`, { headers: authorized });
    expect([(await list()).status, (await list()).status]).toEqual([200, 200]);
    const response = await list();
    expect(Number(response.headers.get('retry-after'))).toBeGreaterThan(0);
    expect(await failure(response)).toMatchObject({
      status: 429,
      type: 'rate_limit_error',
      code: 'rate_limit_exceeded',
    });
  } finally {
    await limited.stop();
  }
});
