import { once } from 'node:events';
import { Agent, request, type IncomingMessage } from 'node:http';
import { text as textOf } from 'node:stream/consumers';
import { DrainCoordinator } from '@pangalactic/lifecycle';
import { freePort, until } from '@pangalactic/testing';
import { afterEach, describe, expect, it } from 'vitest';
import { post, readEvents, startGateway, untilReady } from './gateway-harness';
import type { RunningGateway } from './gateway-harness';
import { goldenCase } from './golden';
import { answer, WITHOUT_PIPELINE } from './scripted-cluster';

const hello = goldenCase(0);
const CHAT = { model: 'pangalactic-nano', messages: hello.messages };

let gateway: RunningGateway;
afterEach(() => gateway.stop());

async function probe(path: string): Promise<[number, string]> {
  const response = await fetch(`${gateway.url}${path}`);
  return [response.status, await response.text()];
}

/** Answers stop after three tokens. @returns what lets them go on */
function holdAnswers(): () => void {
  let proceed = () => {};
  const held = new Promise<void>((resolve) => (proceed = resolve));
  gateway.cluster.script = async function* () {
    for await (const response of answer(hello.completionIds)) {
      yield response;
      if (response.token?.index === 2) await held;
    }
  };
  return proceed;
}

describe('probes', () => {
  it('need no key; ready has exactly one body', async () => {
    gateway = await startGateway({ GATEWAY_API_KEY: 'sk-key' });
    await untilReady(gateway.url);
    expect(await probe('/readyz')).toEqual([200, '{"ready": true}']);
    expect((await probe('/healthz'))[0]).toBe(200);
    expect((await probe('/metrics'))[0]).toBe(200);
  });

  it('are ready before any model is deployed', async () => {
    gateway = await startGateway({}, (cluster) => cluster.publish({ routes: [], models: [] }));
    await untilReady(gateway.url);
    expect(await (await fetch(`${gateway.url}/v1/models`)).json()).toEqual({ object: 'list', data: [] });
  });

  it('say why not: no hub has answered yet', async () => {
    gateway = await startGateway({ GATEWAY_HUB_ADDR: `127.0.0.1:${await freePort()}` });
    expect((await probe('/healthz'))[0]).toBe(200);
    const [status, body] = await probe('/readyz');
    expect([status, JSON.parse(body)]).toEqual([
      503,
      { ready: false, reasons: ['no route table yet: the hub has not answered'] },
    ]);
    const models = await fetch(`${gateway.url}/v1/models`);
    expect([models.status, await models.json()]).toMatchObject([503, { error: { code: 'service_unavailable' } }]);
  });

  it('say why not: a model without a pipeline', async () => {
    gateway = await startGateway({}, (cluster) => cluster.publish(WITHOUT_PIPELINE));
    await until(async () => (await probe('/readyz'))[1].includes('no pipeline is ready'), {
      timeoutMs: 5_000,
      message: 'the reason',
    });
    const model = await fetch(`${gateway.url}/v1/models/pangalactic-nano`);
    expect([model.status, await model.json()]).toMatchObject([200, { state: 'WAITING' }]);
  });
});

describe('metrics', () => {
  it('count requests and tokens, with bounded labels', async () => {
    gateway = await startGateway();
    gateway.cluster.script = () => answer(hello.completionIds);
    await untilReady(gateway.url);
    await readEvents(await post(gateway.url, '/v1/chat/completions', { ...CHAT, stream: true }));
    await post(gateway.url, '/v1/chat/completions', CHAT);
    await post(gateway.url, '/v1/chat/completions', { ...CHAT, model: 'made-up-name' });
    await fetch(`${gateway.url}/made/up/path`);

    const tokens = hello.completionIds.length;
    const [, text] = await probe('/metrics');
    const lines = text.split('\n');
    expect(lines).toEqual(
      expect.arrayContaining([
        'pangalactic_http_requests_total{method="POST",route="/v1/chat/completions",status="200"} 2',
        'pangalactic_http_requests_total{method="POST",route="/v1/chat/completions",status="404"} 1',
        'pangalactic_http_requests_total{method="GET",route="unmatched",status="404"} 1',
        'pangalactic_num_requests_waiting 0',
        'pangalactic_num_requests_running 0',
        'pangalactic_time_to_first_token_seconds_count{model="pangalactic-nano"} 2',
        `pangalactic_inter_token_latency_seconds_count{model="pangalactic-nano"} ${2 * (tokens - 1)}`,
        'pangalactic_e2e_request_latency_seconds_count{model="pangalactic-nano"} 2',
        `pangalactic_prompt_tokens_total{model="pangalactic-nano"} ${2 * hello.prompt_ids.length}`,
        `pangalactic_generation_tokens_total{model="pangalactic-nano"} ${2 * tokens}`,
        'pangalactic_request_success_total{model="pangalactic-nano",finished_reason="stop"} 2',
      ]),
    );
    expect(lines).toContain('pangalactic_request_errors_total{code="model_not_found"} 1');
    expect(lines).toContain('pangalactic_hub_connected 1');
    expect(text).not.toMatch(/made-up-name|made\/up/);
  });

  it('have as many series however many different things clients send', async () => {
    gateway = await startGateway({ GATEWAY_API_KEY: 'sk-key' });
    gateway.cluster.script = () => answer(hello.completionIds);
    await untilReady(gateway.url);
    const series = async () => {
      const ours = (await probe('/metrics'))[1].split('\n').filter((line) => line.startsWith('pangalactic_'));
      return ours.map((line) => line.replace(/ \S+$/, '')).sort();
    };
    const sendAll = async (name: string) => {
      const headers = { authorization: 'Bearer sk-key', 'x-request-id': name };
      await post(gateway.url, '/v1/chat/completions', { ...CHAT, user: name, seed: name.length }, { headers });
      await post(gateway.url, '/v1/completions', { model: name, prompt: name }, { headers });
      await post(gateway.url, '/v1/chat/completions', CHAT, { headers: { authorization: `Bearer ${name}` } });
      await post(gateway.url, `/v1/${name}?${name}`, {}, { headers });
      await fetch(`${gateway.url}/v1/models/${name}`, { headers });
    };
    await sendAll('first');
    // A scrape counts itself, so the next one has its series.
    await series();
    const before = await series();
    for (let index = 0; index < 20; index += 1) await sendAll(`made-up-${index}`);
    expect(await series()).toEqual(before);
  });

  it('are also there under the names that a router for vLLM asks for', async () => {
    gateway = await startGateway();
    const proceed = holdAnswers();
    await untilReady(gateway.url);
    const load = async () => {
      const lines = (await probe('/metrics'))[1].split('\n');
      return Object.fromEntries(
        ['num_requests_running', 'num_requests_waiting', 'kv_cache_usage_perc'].map((name) => {
          const values = ['pangalactic_', 'vllm:'].map((prefix) => {
            const line = lines.find((each) => each.startsWith(`${prefix}${name} `));
            return Number(line?.split(' ')[1]);
          });
          return [name, values];
        }),
      );
    };
    expect(await load()).toEqual({
      ...{ num_requests_running: [0, 0], num_requests_waiting: [0, 0], kv_cache_usage_perc: [0, 0] },
    });
    const answered = post(gateway.url, '/v1/chat/completions', { ...CHAT, stream: true }).then(readEvents);
    await until(async () => (await load()).num_requests_running![1] === 1, { timeoutMs: 5_000, message: 'it runs' });
    const share = 1 / gateway.cluster.route('p1').pipeline!.maxSequences;
    expect((await load()).kv_cache_usage_perc).toEqual([share, share]);
    proceed();
    await answered;
  });
});

describe('draining', () => {
  it('finishes the streams in flight, not ready meanwhile', async () => {
    gateway = await startGateway();
    const proceed = holdAnswers();
    await untilReady(gateway.url);
    const response = await post(gateway.url, '/v1/chat/completions', { ...CHAT, stream: true });
    await until(() => gateway.cluster.calls[0]!.taken > 3, { timeoutMs: 5_000, message: 'the first tokens' });

    const closed = gateway.app.close();
    await until(async () => (await probe('/readyz'))[0] === 503, { timeoutMs: 5_000, message: 'not ready' });
    expect(JSON.parse((await probe('/readyz'))[1])).toEqual({ ready: false, reasons: ['draining'] });
    proceed();
    const events = await readEvents(response);
    expect(events.map((event) => event.choices[0]!.delta!.content ?? '').join('')).toBe(hello.text);
    await closed;
    await expect(fetch(`${gateway.url}/healthz`)).rejects.toThrow();
  });

  it('accepts connections meanwhile, and gives up those that clients keep', async () => {
    gateway = await startGateway();
    const proceed = holdAnswers();
    await untilReady(gateway.url);
    const agent = new Agent({ keepAlive: true });
    const closed: string[] = [];
    const ask = async (name: string, path: string, body?: object) => {
      const call = request(gateway.url + path, {
        agent,
        method: body ? 'POST' : 'GET',
        headers: { 'content-type': 'application/json' },
      });
      call.once('socket', (socket) => socket.once('close', () => closed.push(name)));
      call.end(body && JSON.stringify(body));
      const [response] = (await once(call, 'response')) as [IncomingMessage];
      const text = await textOf(response);
      return { status: response.statusCode, connection: response.headers.connection, text };
    };
    const early = ask('early', '/v1/chat/completions', { ...CHAT, stream: true });
    await until(() => (gateway.cluster.calls[0]?.taken ?? 0) > 3, { timeoutMs: 5_000, message: 'the first tokens' });

    const end = gateway.app.get(DrainCoordinator).begin();
    const stopped = gateway.app.close();
    await until(async () => (await probe('/readyz'))[0] === 503, { timeoutMs: 5_000, message: 'not ready' });
    expect(await ask('late', '/v1/models')).toMatchObject({ status: 200, connection: 'close' });
    proceed();
    expect(await early).toMatchObject({ status: 200, connection: 'keep-alive' });
    await until(() => closed.length === 2, { timeoutMs: 5_000, message: 'both connections are closed' });
    end();
    await stopped;
  });
});
