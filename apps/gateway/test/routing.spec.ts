import { PangalacticError } from '@pangalactic/contracts';
import { freePort, until } from '@pangalactic/testing';
import { afterEach, describe, expect, it } from 'vitest';
import { post, startGateway, untilReady } from './gateway-harness';
import type { RunningGateway } from './gateway-harness';
import { goldenCase } from './golden';
import { answer, modelSummary, modelView, ScriptedCluster, untilAborted, WITHOUT_PIPELINE } from './scripted-cluster';

const hello = goldenCase(0);
const CHAT = { model: 'pangalactic-nano', messages: hello.messages };

let gateway: RunningGateway | undefined;
afterEach(async () => {
  await gateway?.stop();
  gateway = undefined;
});

async function start(environment: Record<string, string>, prepare?: (cluster: ScriptedCluster) => void) {
  gateway = await startGateway(environment, prepare);
  gateway.cluster.script = () => answer(hello.completionIds);
  return gateway;
}

async function outcome(response: Promise<Response>): Promise<[number, string | undefined]> {
  const { status, ...answered } = await response.then(async (got) => ({ status: got.status, body: await got.json() }));
  const body = answered.body as { error?: { code: string }; choices?: { message: { content: string } }[] };
  return [status, body.error?.code ?? body.choices?.[0]?.message.content];
}

const chat = (request: object = CHAT) => outcome(post(gateway!.url, '/v1/chat/completions', request));
const pipelinesTried = () => gateway!.cluster.calls.map((call) => call.request.pipelineId);

describe('a request without a route', () => {
  it('waits for one', async () => {
    const { cluster } = await start({}, (prepared) => prepared.publish(WITHOUT_PIPELINE));
    const answered = chat();
    await until(async () => (await metric('pangalactic_num_requests_waiting')) === 1, {
      timeoutMs: 5_000,
      message: 'the request in the queue',
    });
    cluster.deploy('late');
    expect(await answered).toEqual([200, hello.text]);
  });

  it('is told to come back later when none appears in time', async () => {
    await start({ GATEWAY_QUEUE_TIMEOUT_S: '1' }, (prepared) => prepared.publish(WITHOUT_PIPELINE));
    const response = await post(gateway!.url, '/v1/chat/completions', { ...CHAT, stream: true });
    expect([response.status, response.headers.get('retry-after')]).toEqual([503, '5']);
    expect(await response.json()).toMatchObject({ error: { code: 'model_not_ready', type: 'server_error' } });
  });

  it('is also told so when every pipeline stays full', async () => {
    const { cluster } = await start({ GATEWAY_QUEUE_TIMEOUT_S: '1' });
    cluster.script = async function* (_request, signal) {
      await untilAborted(signal);
    };
    expect(await chat()).toEqual([503, 'model_not_ready']);
    await until(() => cluster.calls[0]!.cancelled, { timeoutMs: 5_000, message: 'the cancelled call' });
  });
});

describe('a model that nodes hold and that is not loaded', () => {
  const notLoaded = { routes: [], models: [modelSummary('NOT_LOADED', { origin: '' })] };

  it('is asked for once, however many requests wait for it, and answers when it is loaded', async () => {
    const { cluster } = await start({}, (prepared) => prepared.publish(notLoaded));
    const answered = [chat(), chat(), chat()];
    await until(
      async () => (await metric('pangalactic_num_requests_waiting')) === 3 && cluster.loadRequests.length > 0,
      {
        timeoutMs: 5_000,
        message: 'the requests in the queue and the hub asked',
      },
    );
    expect(cluster.loadRequests).toMatchObject([{ modelId: 'pangalactic-nano', onRequest: true }]);
    cluster.deploy('loaded');
    expect(await Promise.all(answered)).toEqual(Array(3).fill([200, hello.text]));
    expect(cluster.calls).toHaveLength(3);
  });

  it.each([
    ['LOADING', { progress: 0.424, etaSeconds: 7.2 }, { state: 'LOADING', progress: 0.42, eta_seconds: 8 }, '8'],
    ['LOADING', { progress: 0.01, etaSeconds: 900 }, { state: 'LOADING', progress: 0.01, eta_seconds: 900 }, '60'],
    ['WAITING', { waitingFor: 'a larger node' }, { state: 'WAITING', progress: 0, eta_seconds: null }, '5'],
  ])('answers with how far it is when that takes too long: %s, %j', async (state, changes, loading, retryAfter) => {
    const { cluster } = await start({ GATEWAY_QUEUE_TIMEOUT_S: '1' }, (prepared) => prepared.publish(notLoaded));
    cluster.load = () => modelView(state, changes);
    const response = await post(gateway!.url, '/v1/chat/completions', CHAT);
    expect([response.status, response.headers.get('retry-after')]).toEqual([503, retryAfter]);
    const { error } = (await response.json()) as { error: { message: string } };
    expect(error).toMatchObject({ code: 'model_not_ready', type: 'server_error', param: 'model', loading });
    expect(error.message).toContain('waitingFor' in changes ? 'It is WAITING: a larger node.' : 'It is LOADING.');
  });

  it('is waited for a while longer when it will be loaded soon, and not for ever', async () => {
    const { cluster } = await start({ GATEWAY_QUEUE_TIMEOUT_S: '1' }, (prepared) => prepared.publish(notLoaded));
    cluster.load = () => modelView('LOADING', { progress: 0.9, etaSeconds: 0.5 });
    const begun = performance.now();
    const refused = await post(gateway!.url, '/v1/chat/completions', CHAT);
    expect([refused.status, refused.headers.get('retry-after')]).toEqual([503, '1']);
    expect(performance.now() - begun).toBeGreaterThan(2_900);
    expect(await refused.json()).toMatchObject({ error: { message: expect.stringContaining('within 3 s') as string } });
    const answered = chat();
    await until(() => cluster.loadRequests.length > 4, { timeoutMs: 5_000, message: 'the hub asked again' });
    cluster.deploy('loaded');
    expect(await answered).toEqual([200, hello.text]);
  });

  it('is asked for at the hub that leads, when the configured one is a standby', async () => {
    const leader = await ScriptedCluster.start();
    try {
      const { cluster } = await start({}, (prepared) => prepared.publish(notLoaded));
      cluster.load = () => {
        throw new PangalacticError('not_leader', 'a standby', { redirectTo: leader.address });
      };
      const answered = chat();
      await until(() => leader.loadRequests.length > 1, { timeoutMs: 5_000, message: 'the leader asked, twice' });
      expect(cluster.loadRequests).toHaveLength(1);
      cluster.deploy('loaded');
      expect(await answered).toEqual([200, hello.text]);
    } finally {
      await leader.stop();
    }
  });

  it('keeps waiting while the hub cannot be asked', async () => {
    const { cluster } = await start({}, (prepared) => prepared.publish(notLoaded));
    cluster.load = () => {
      throw new PangalacticError('queue_full', '64 wishes wait already');
    };
    const answered = chat();
    await until(() => cluster.loadRequests.length > 0, { timeoutMs: 5_000, message: 'the hub asked' });
    cluster.deploy('loaded');
    expect(await answered).toEqual([200, hello.text]);
  });
});

describe('a pipeline that fails before the first token', () => {
  it.each(['pipeline_broken', 'pipeline_not_found', 'queue_full'] as const)(
    'with %s is replaced by another',
    async (code) => {
      const { cluster } = await start({}, (prepared) => prepared.deploy('p1', 'p2'));
      let first: string | undefined;
      cluster.script = (request) => {
        first ??= request.pipelineId;
        if (request.pipelineId === first) throw new PangalacticError(code, 'not here');
        return answer(hello.completionIds);
      };
      expect(await chat()).toEqual([200, hello.text]);
      expect(pipelinesTried().sort()).toEqual(['p1', 'p2']);
      const [one, two] = cluster.calls.map((call) => call.request);
      expect(one!.seed).toBe(two!.seed);
    },
  );

  it('is tried again when it is the only one, also after it had accepted the sequence', async () => {
    const { cluster } = await start({});
    cluster.script = async function* () {
      if (cluster.calls.length > 1) return yield* answer(hello.completionIds);
      yield { accepted: { promptTokens: 1, cachedTokens: 0 } };
      throw new PangalacticError('service_unavailable', 'the connection was lost');
    };
    expect(await chat()).toEqual([200, hello.text]);
    expect(pipelinesTried()).toEqual(['p1', 'p1']);
  });

  it('is not fed the same request for ever', async () => {
    const { cluster } = await start({});
    cluster.script = async function* () {
      yield { accepted: { promptTokens: 1, cachedTokens: 0 } };
      throw new PangalacticError('service_unavailable', 'poisoned');
    };
    expect(await chat()).toEqual([503, 'service_unavailable']);
    expect(pipelinesTried()).toHaveLength(3);
  });

  it('for good is not asked again, whatever the route table says', async () => {
    const { cluster } = await start({});
    cluster.script = ({ pipelineId }) => {
      if (pipelineId === 'p2') return answer(hello.completionIds);
      throw new PangalacticError('pipeline_broken', 'stage 1 is gone');
    };
    const answered = chat();
    await until(() => cluster.calls.length === 1, { timeoutMs: 5_000, message: 'the first attempt' });
    cluster.deploy('p1', 'p2');
    expect(await answered).toEqual([200, hello.text]);
    expect(pipelinesTried()).toEqual(['p1', 'p2']);
  });

  it('because its head does not answer at all is left for another', async () => {
    const nobody = `127.0.0.1:${await freePort()}`;
    const { cluster } = await start({ GATEWAY_QUEUE_TIMEOUT_S: '1' }, (prepared) =>
      prepared.deploy(prepared.route('dead', [nobody, prepared.address])),
    );
    await untilReady(gateway!.url);
    // The tokenizer comes from the second stage, so the request gets as far as the head.
    expect(await chat()).toEqual([503, 'model_not_ready']);
    expect([cluster.headerReads, cluster.calls.length]).toEqual([1, 0]);
    cluster.deploy(cluster.route('dead', [nobody, cluster.address]), 'alive');
    await until(async () => (await chat())[0] === 200, { timeoutMs: 5_000, message: 'an answer of the other' });
  });
});

describe('several pipelines', () => {
  it('share the load of unlike prompts', async () => {
    const { cluster } = await start({}, (prepared) => prepared.deploy('p1', 'p2'));
    let finish: () => void;
    const finished = new Promise<void>((resolve) => (finish = resolve));
    cluster.script = async function* () {
      yield { accepted: { promptTokens: 1, cachedTokens: 0 } };
      await finished;
      yield { finished: { reason: 1, completionTokens: 0 } };
    };
    const answers = [];
    for (let count = 1; count <= 6; count += 1) {
      answers.push(chat({ ...CHAT, messages: [{ role: 'user', content: `question ${count}` }] }));
      await until(() => cluster.calls.length === count, { timeoutMs: 5_000, message: `call ${count}` });
    }
    finish!();
    await Promise.all(answers);
    expect(pipelinesTried().sort()).toEqual(['p1', 'p1', 'p1', 'p2', 'p2', 'p2']);
  });
});

describe('a hub that goes away', () => {
  it('is not missed while the routes are known', async () => {
    const { cluster, url } = await start({});
    await untilReady(url);
    cluster.interruptWatches();
    expect(await chat()).toEqual([200, hello.text]);
    cluster.deploy('p2');
    await until(async () => (await chat())[0] === 200 && pipelinesTried().includes('p2'), {
      timeoutMs: 10_000,
      message: 'the new table after the watch was resumed',
    });
  });
});

async function metric(name: string): Promise<number> {
  const text = await (await fetch(`${gateway!.url}/metrics`)).text();
  return Number(new RegExp(`^${name} (.*)$`, 'm').exec(text)?.[1]);
}
