import { copyFile, mkdir, mkdtemp, rename, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { repositoryRoot } from '@pangalactic/contracts';
import { startCluster, until, type TestCluster } from '@pangalactic/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runToEnd } from '../cluster/run-to-end';

const WAIT = { timeoutMs: 30_000, intervalMs: 250 };

interface ModelObject {
  readonly id: string;
  readonly state: string;
  readonly max_model_len: number;
}

interface ChatAnswer {
  readonly status: number;
  readonly retryAfter: string | null;
  readonly body: {
    readonly choices?: readonly { readonly message: { readonly content: string } }[];
    readonly error?: { readonly code: string; readonly message: string; readonly loading?: object };
  };
}

/** Real processes; the node can hold one of the two models at a time. */
describe('a cluster without a model', () => {
  let cluster: TestCluster;
  let modelDirectory: string;

  beforeAll(async () => {
    modelDirectory = await mkdtemp(join(tmpdir(), 'pangalactic-models-'));
    cluster = await startCluster({
      ...{ nodes: 1, stages: 0, serves: false, model: 'nothing-configured', modelDirectory },
      env: {
        hub: { HUB_HEARTBEAT_TIMEOUT_S: '2' },
        node: { NODE_SIMULATED_VRAM_GB: '0.012' },
        gateway: { GATEWAY_QUEUE_TIMEOUT_S: '1' },
      },
    });
  });

  afterAll(async () => {
    await cluster?.stop();
    await rm(modelDirectory, { recursive: true, force: true });
  });

  /** As `model download` does. */
  const download = async (id: string, file: string) => {
    const folder = join(modelDirectory, id);
    await mkdir(folder);
    await copyFile(join(repositoryRoot(), 'models', file), join(folder, `${file}.part`));
    await rename(join(folder, `${file}.part`), join(folder, file));
  };

  const chat = async (model: string): Promise<ChatAnswer> => {
    const response = await fetch(cluster.url('gateway', '/v1/chat/completions'), {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ model, max_tokens: 8, messages: [{ role: 'user', content: 'Hello' }] }),
      signal: AbortSignal.timeout(20_000),
    });
    const body = (await response.json()) as ChatAnswer['body'];
    return { status: response.status, retryAfter: response.headers.get('retry-after'), body };
  };

  const answered = (model: string) =>
    until(async () => (await chat(model)).status === 200, { ...WAIT, message: `${model} answers` });

  const models = async () => {
    const response = await fetch(cluster.url('gateway', '/v1/models'), { signal: AbortSignal.timeout(5_000) });
    return ((await response.json()) as { data: ModelObject[] }).data;
  };

  const statesOf = async () => Object.fromEntries((await models()).map(({ id, state }) => [id, state]));

  const command = (...args: string[]) =>
    runToEnd('apps/cli/src/main.js', ['model', ...args, '--hub-addr', cluster.layout.hubAddress]);

  it('answers a plain chat request for a model that was downloaded, without another step', async () => {
    expect(await chat('first')).toMatchObject({ status: 404, body: { error: { code: 'model_not_found' } } });
    await download('first', 'pangalactic-nano.gguf');
    const [listed] = await until(async () => ((await models()).length > 0 ? models() : undefined), {
      ...{ timeoutMs: 5_000, message: 'the model shows up' },
    });
    expect(listed).toMatchObject({ id: 'first', state: 'NOT_LOADED', max_model_len: 512 });
    await answered('first');
    expect(await statesOf()).toEqual({ first: 'READY' });
    expect((await chat('first')).body.choices?.[0]?.message.content).not.toBe('');
  });

  it('keeps a model that clients use, tells those who want another one why they wait, and then makes room', async () => {
    await download('second', 'pangalactic-nano-q4_0.gguf');
    await until(async () => (await models()).length === 2, { ...WAIT, message: 'the model shows up' });
    let using = true;
    const user = (async () => {
      const statuses = new Set<number>();
      while (using) statuses.add((await chat('first')).status);
      return [...statuses];
    })();
    for (const attempt of [1, 2, 3]) {
      const refused = await chat('second');
      expect([attempt, refused.status, refused.retryAfter, refused.body.error?.code]).toEqual([
        ...[attempt, 503, '5', 'model_not_ready'],
      ]);
      expect(refused.body.error?.loading).toEqual({ state: 'WAITING', progress: 0, eta_seconds: null });
      expect(refused.body.error?.message).toMatch(/It is WAITING: second needs .* MB or more/);
    }
    using = false;
    expect(await user).toEqual([200]);
    await answered('second');
    expect(await statesOf()).toEqual({ first: 'NOT_LOADED', second: 'READY' });
  });

  it('obeys the operator: what he loads stays until he unloads it', async () => {
    expect(await command('load', 'second')).toMatchObject({ code: 0, stderr: 'second: READY\n' });
    expect(await chat('first')).toMatchObject({ status: 503, body: { error: { loading: { state: 'WAITING' } } } });
    const listed = JSON.parse((await command('list', '--json')).stdout) as { model: string; wanted_by: string }[];
    expect(listed.map(({ model, wanted_by }) => [model, wanted_by])).toEqual([
      ['first', 'REQUEST'],
      ['second', 'OPERATOR'],
    ]);
    expect((await command('unload', 'second')).stdout).toMatch(/^second is being unloaded/);
    const load = await command('load', 'first');
    expect(load).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/^first is READY\nnode-1 \[0, \d+\): /) as string,
    });
    expect(await statesOf()).toEqual({ first: 'READY', second: 'NOT_LOADED' });
  });
});
