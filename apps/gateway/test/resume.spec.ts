import { FinishReason, PangalacticError } from '@pangalactic/contracts';
import type { ErrorCode, GenerateRequest, GenerateResponse } from '@pangalactic/contracts';
import { until } from '@pangalactic/testing';
import { afterEach, describe, expect, it } from 'vitest';
import { RouteDirectory } from '../src/routing/route-directory';
import { post, readEvents, startGateway, untilReady } from './gateway-harness';
import type { RunningGateway, StreamedChunk } from './gateway-harness';
import { goldenCase } from './golden';
import { CONTEXT_LENGTH, WITHOUT_PIPELINE } from './scripted-cluster';

const hello = goldenCase(0);
const ids = hello.completionIds;
const CHAT = { model: 'pangalactic-nano', messages: hello.messages };
const TIMEOUT = { timeoutMs: 10_000 };

let gateway: RunningGateway;
afterEach(() => gateway.stop());

async function start(environment: Record<string, string> = {}): Promise<RunningGateway> {
  gateway = await startGateway(environment);
  await untilReady(gateway.url);
  return gateway;
}

/** A head that goes on where the request stands, and fails once the completion has this many tokens. */
async function* continuation(
  { emittedIds, promptIds }: GenerateRequest,
  until = Infinity,
  code: ErrorCode = 'pipeline_broken',
): AsyncGenerator<GenerateResponse, void> {
  yield { accepted: { promptTokens: promptIds.length, cachedTokens: emittedIds.length === 0 ? 2 : promptIds.length } };
  for (let index = emittedIds.length; index < ids.length; index += 1) {
    if (index === until) throw new PangalacticError(code, 'stage 1 is gone');
    yield { token: { index, id: ids[index]! } };
  }
  yield { finished: { reason: FinishReason.FINISH_REASON_STOP, completionTokens: ids.length } };
}

const stream = (fields: object = {}) =>
  post(gateway.url, '/v1/chat/completions', {
    ...CHAT,
    ...fields,
    stream: true,
    stream_options: { include_usage: true },
  });
const requests = () => gateway.cluster.calls.map(({ request }) => request);
const textOf = (chunks: readonly StreamedChunk[], index = 0) =>
  chunks
    .flatMap(({ choices = [] }) => choices.flatMap((choice) => (choice.index === index ? [choice] : [])))
    .map(({ delta }) => delta?.content ?? '')
    .join('');
const usageOf = (chunks: readonly StreamedChunk[]) => chunks.find(({ usage }) => usage)?.usage;
const USAGE = {
  prompt_tokens: hello.prompt_ids.length,
  completion_tokens: ids.length,
  total_tokens: hello.prompt_ids.length + ids.length,
  prompt_tokens_details: { cached_tokens: 2 },
};

function untilRoutes(count: number): Promise<boolean> {
  const directory = gateway.app.get(RouteDirectory);
  const message = `${count} routes are known`;
  return until(() => directory.current?.routes.length === count, { ...TIMEOUT, message });
}

async function metric(name: string): Promise<number> {
  const text = await (await fetch(`${gateway.url}/metrics`)).text();
  const samples = text.split('\n').filter((line) => line.startsWith(`${name}{`) || line.startsWith(`${name} `));
  return samples.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' '))), 0);
}

describe('a stream whose pipeline breaks', () => {
  it('goes on from its transcript on another one, and counts everything once', async () => {
    const { cluster } = await start();
    cluster.script = (request) => {
      if (request.pipelineId === 'p2') return continuation(request);
      cluster.deploy('p2');
      return continuation(request, 3);
    };
    const chunks = await readEvents(await stream({ seed: 7, max_tokens: 50 }));
    expect(textOf(chunks)).toBe(hello.text);
    expect(usageOf(chunks)).toEqual(USAGE);
    expect(chunks.filter(({ choices }) => choices.some(({ finish_reason }) => finish_reason))).toHaveLength(1);

    const [first, second] = requests();
    expect(second).toMatchObject({ pipelineId: 'p2', emittedIds: ids.slice(0, 3) });
    const { pipelineId: _p, attemptId: firstAttempt, emittedIds: _e, ...unchanged } = first!;
    expect(second).toMatchObject(unchanged);
    expect(second!.attemptId).not.toBe(firstAttempt);

    expect(await metric('pangalactic_request_resumes_total')).toBe(1);
    expect(await metric('pangalactic_request_resume_pause_seconds_count')).toBe(1);
    expect(await metric('pangalactic_prompt_tokens_total')).toBe(hello.prompt_ids.length);
    expect(await metric('pangalactic_generation_tokens_total')).toBe(ids.length);
  });

  it('goes on also when the head ended the call without a word', async () => {
    const { cluster } = await start();
    cluster.script = async function* (request) {
      if (request.pipelineId === 'p2') return yield* continuation(request);
      cluster.deploy('p2');
      yield { accepted: { promptTokens: 1, cachedTokens: 0 } };
    };
    expect(textOf(await readEvents(await stream()))).toBe(hello.text);
    expect(requests().map(({ pipelineId }) => pipelineId)).toEqual(['p1', 'p2']);
  });

  it('keeps the seed that was drawn for it', async () => {
    const { cluster } = await start();
    cluster.script = (request) =>
      continuation(request, requests().length < 3 ? requests().length : Infinity, 'service_unavailable');
    expect(textOf(await readEvents(await stream()))).toBe(hello.text);
    expect(new Set(requests().map(({ seed }) => seed)).size).toBe(1);
    expect(requests().map(({ emittedIds }) => emittedIds.length)).toEqual([0, 1, 2]);
  });

  it('waits for another one', async () => {
    const { cluster } = await start({ GATEWAY_QUEUE_TIMEOUT_S: '1' });
    cluster.script = (request) => continuation(request, request.pipelineId === 'p1' ? 3 : Infinity);
    const answered = stream().then(readEvents);
    await until(() => requests().length === 1, { ...TIMEOUT, message: 'the first attempt' });
    cluster.publish(WITHOUT_PIPELINE);
    await untilRoutes(0);
    // Longer than a new request does.
    expect((await post(gateway.url, '/v1/chat/completions', CHAT)).status).toBe(503);
    cluster.deploy('p2');
    expect(textOf(await answered)).toBe(hello.text);
  });

  it('ends with an error event when there is none in time', async () => {
    const { cluster } = await start({ GATEWAY_RESUME_TIMEOUT_S: '1' });
    cluster.script = (request) => continuation(request, 3);
    const chunks = await readEvents(await stream());
    expect(chunks.at(-1)).toMatchObject({ error: { code: 'model_not_ready', type: 'server_error' } });
    expect(hello.text.startsWith(textOf(chunks))).toBe(true);

    const whole = await post(gateway.url, '/v1/chat/completions', CHAT);
    expect([whole.status, await whole.json()]).toMatchObject([503, { error: { code: 'model_not_ready' } }]);
  });

  it('ends after three attempts without a new token, however many pipelines there are', async () => {
    const { cluster } = await start();
    cluster.deploy('p1', 'p2', 'p3', 'p4', 'p5', 'p6');
    await until(async () => (await metric('pangalactic_num_requests_running')) === 0, {
      ...TIMEOUT,
      message: 'metrics',
    });
    // A token, a second one, and then nothing but breaks.
    cluster.script = (request) => continuation(request, Math.min(requests().length, 2), 'pipeline_broken');
    const chunks = await readEvents(await stream());
    expect(chunks.at(-1)).toMatchObject({ error: { code: 'pipeline_broken' } });
    expect(requests().map(({ emittedIds }) => emittedIds.length)).toEqual([0, 1, 2, 2]);
    expect(new Set(requests().map(({ pipelineId }) => pipelineId)).size).toBe(4);
  });

  it('is let in when the other one is full for the moment', async () => {
    const { cluster } = await start();
    cluster.script = (request) => {
      if (requests().length === 1) return continuation(request, 3, 'service_unavailable');
      if (requests().length < 4) throw new PangalacticError('queue_full', '64 sequences wait already');
      return continuation(request);
    };
    expect(textOf(await readEvents(await stream()))).toBe(hello.text);
    expect(requests()).toHaveLength(4);
  });

  it('becomes no longer on a pipeline with more context, and is not fed to one with less than it has', async () => {
    const { cluster } = await start();
    const withContext = (id: string, contextLength: number) => {
      const route = cluster.route(id);
      return { ...route, pipeline: { ...route.pipeline!, contextLength } };
    };
    cluster.script = (request) => {
      if (request.pipelineId === 'large') return continuation(request);
      cluster.deploy(withContext('small', hello.prompt_ids.length + 2), withContext('large', 4_096));
      return continuation(request, 3);
    };
    expect(textOf(await readEvents(await stream()))).toBe(hello.text);
    const room = CONTEXT_LENGTH - hello.prompt_ids.length;
    expect(requests().map(({ pipelineId, maxTokens }) => [pipelineId, maxTokens])).toEqual([
      ['p1', room],
      ['large', room],
    ]);
  });

  it('finds a stop string that lies on both sides of the break', async () => {
    const { cluster } = await start();
    const stop = hello.text.slice(4, 12);
    const breakAt = Math.floor(ids.length / 4);
    const undisturbed = hello.text.slice(0, hello.text.indexOf(stop));
    cluster.script = (request) =>
      continuation(request, requests().length === 1 ? breakAt : Infinity, 'service_unavailable');
    const chunks = await readEvents(await stream({ stop }));
    expect(textOf(chunks)).toBe(undisturbed);
  });
});

it('each choice goes on where it stood', async () => {
  const { cluster } = await start();
  cluster.script = (request) => {
    const { choiceIndex, emittedIds } = request;
    return continuation(request, emittedIds.length > 0 ? Infinity : choiceIndex + 2, 'service_unavailable');
  };
  const chunks = await readEvents(await stream({ n: 2 }));
  expect([textOf(chunks, 0), textOf(chunks, 1)]).toEqual([hello.text, hello.text]);
  const resumed = requests().filter(({ emittedIds }) => emittedIds.length > 0);
  expect(resumed.map(({ choiceIndex, emittedIds }) => [choiceIndex, emittedIds.length]).sort()).toEqual([
    [0, 2],
    [1, 3],
  ]);
});

it('those that have begun ask the new pipeline before those that have not', async () => {
  const { cluster } = await start();
  cluster.script = (request) => continuation(request, request.pipelineId === 'p1' ? 3 : Infinity);
  const begun = stream().then(readEvents);
  await until(() => requests().length === 1, { ...TIMEOUT, message: 'the first attempt' });
  cluster.publish(WITHOUT_PIPELINE);
  await untilRoutes(0);
  const waiting = () => metric('pangalactic_num_requests_waiting');
  const fresh = [stream().then(readEvents), stream().then(readEvents)];
  await until(async () => (await waiting()) === 2, { ...TIMEOUT, message: 'two new requests wait' });
  cluster.deploy('p2');
  await Promise.all([begun, ...fresh]);
  expect(requests().map(({ emittedIds }) => emittedIds.length)).toEqual([0, 3, 0, 0]);
});
