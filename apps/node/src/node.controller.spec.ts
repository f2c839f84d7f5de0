import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type ErrorCode, FinishReason, type GenerateRequest, repositoryRoot } from '@pangalactic/contracts';
import { MockProvider } from '@pangalactic/inference';
import { readGgufHeader } from '@pangalactic/models';
import { callEveryMethod, until } from '@pangalactic/testing';
import { afterEach, describe, expect, it } from 'vitest';
import { ModelInventory } from './models/model-inventory.service';
import { complete, failure, firstToken, open } from './testing/generate';
import { HeldProvider } from './testing/held-provider';
import { writeWithLargeHeader } from './testing/large-header';
import { loadPipeline, TestNode, type TestNodeOptions } from './testing/test-node';

describe('NodeController', () => {
  let node: TestNode;

  const start = async (options: Partial<TestNodeOptions> = {}) => {
    node = await TestNode.start({ id: 'node-0', ...options });
  };
  const scheduler = () => node.pipelines.require('p1').head?.scheduler;
  const slotsInUse = () => node.pipelines.require('p1').slotsInUse;
  const untilFree = () =>
    until(() => slotsInUse() === 0, { timeoutMs: 5_000, intervalMs: 5, message: 'the slot is free' });

  afterEach(() => node.close());

  describe('Generate', () => {
    it.each<[string, Partial<GenerateRequest>, ErrorCode, RegExp]>([
      ['an unknown pipeline', { pipelineId: 'p9' }, 'pipeline_not_found', /node node-0 has no pipeline "p9"/],
      ['no prompt', { promptIds: [] }, 'invalid_request', /prompt_ids is empty/],
      ['a prompt beyond the context', { promptIds: Array<number>(32).fill(1) }, 'context_length_exceeded', /32 tokens/],
      ['a token that is not in the vocabulary', { promptIds: [1, 1e6] }, 'invalid_request', /token 1000000/],
      ['no sampling', { sampling: undefined }, 'invalid_request', /sampling is missing/],
    ])('refuses %s', async (_case, overrides, code, message) => {
      await start();
      await loadPipeline([node], { contextLength: 32 });
      expect(await failure(open(node, overrides))).toMatchObject({
        code,
        message: expect.stringMatching(message) as string,
      });
    });

    it('refuses a pipeline whose head is elsewhere', async () => {
      await start();
      const head = await TestNode.start({ id: 'node-1' });
      await loadPipeline([head, node]);
      expect(await failure(open(node))).toMatchObject({ code: 'pipeline_not_found' });
      await head.close();
    });

    it('fills the context when no number of tokens is asked for', async () => {
      await start();
      await loadPipeline([node], { contextLength: 40 });
      const { ids, reason } = await complete(node, { maxTokens: 0 });
      expect(ids).toHaveLength(35);
      expect(reason).toBe(FinishReason.FINISH_REASON_LENGTH);
    });

    it('ends at once when an earlier attempt emitted all tokens', async () => {
      await start();
      await loadPipeline([node]);
      const done = await complete(node, { emittedIds: [7, 8, 9], maxTokens: 3 });
      expect(done).toEqual({ ids: [], reason: FinishReason.FINISH_REASON_LENGTH });
    });

    it('parks a sequence whose reader stalls, and goes on when it reads again', async () => {
      await start();
      await loadPipeline([node], { contextLength: 30_000 });
      const call = open(node, { maxTokens: 25_000 });
      await firstToken(call);
      let indexes = 1;
      // What the transport buffers is bounded too: the sequence stands still long before its end.
      expect(await untilStill()).toBeLessThan(20_000);
      expect(slotsInUse()).toBe(1);
      for await (const { token } of call) {
        if (token) expect(token.index).toBe(indexes++);
      }
      expect(indexes).toBe(25_000);
    });

    it('cancels a sequence whose reader stalls for too long', async () => {
      await start({ readerLimits: { parkAt: 64, stallTimeoutMs: 1_000 } });
      await loadPipeline([node], { contextLength: 30_000 });
      const call = open(node, { maxTokens: 25_000 });
      await firstToken(call);
      await untilFree();
      expect(await failure(call)).toMatchObject({
        code: 'deadline_exceeded',
        message: 'the reader took none of 64 tokens or more for 1000 ms',
      });
    });

    it('refuses more sequences than its queue holds', async () => {
      await start({ provider: () => new MockProvider({ layerDelayMs: 1 }) });
      await loadPipeline([node], { maxSequences: 1 });
      const calls = Array.from({ length: 66 }, () => open(node, { maxTokens: 200 }));
      const refused = await Promise.race(calls.map((call) => failure(call)));
      expect(refused).toMatchObject({ code: 'queue_full', retryAfterSeconds: 1 });
      for (const call of calls) call.cancel();
      await until(() => scheduler()?.waitingSequences === 0, { timeoutMs: 5_000, message: 'the queue is empty' });
      await untilFree();
    });

    it('finishes what runs when the process is told to stop, and takes nothing new', async () => {
      const engine = new HeldProvider();
      await start({ provider: () => engine });
      await loadPipeline([node]);
      engine.holdAfter(1);
      const running = open(node, { maxTokens: 60 });
      await firstToken(running);
      const closed = node.app.close();
      await until(() => node.drain.state === 'DRAINING', { timeoutMs: 5_000, intervalMs: 5, message: 'draining' });
      expect(await failure(open(node))).toMatchObject({ code: 'service_unavailable' });
      engine.release();
      let finished = false;
      for await (const response of running) finished ||= response.finished !== undefined;
      expect(finished).toBe(true);
      await closed;
    });

    it('ends with an error what still runs at the deadline of the drain', async () => {
      await start({
        provider: () => new MockProvider({ layerDelayMs: 5 }),
        environment: { NODE_DRAIN_TIMEOUT_S: '0.2' },
      });
      await loadPipeline([node]);
      const running = open(node, { maxTokens: 250 });
      await firstToken(running);
      const ended = failure(running);
      await node.app.close();
      expect(await ended).toMatchObject({ code: 'service_unavailable' });
    });
  });

  describe('ReadModelHeader', () => {
    const MODEL = join(repositoryRoot(), 'models/pangalactic-nano.gguf');

    it('streams the bytes of the file before its tensors', async () => {
      await start();
      const chunks: Buffer[] = [];
      for await (const { data } of node.client.readModelHeader({ fingerprint: await node.fingerprint() }))
        chunks.push(data);
      const { header } = await readGgufHeader(MODEL);
      const bytes = Buffer.concat(chunks);
      expect(bytes.equals((await readFile(MODEL)).subarray(0, bytes.length))).toBe(true);
      expect(bytes.length).toBeGreaterThan(1_000);
      expect(bytes.length).toBeLessThanOrEqual(header.dataOffset);
    });

    it('refuses a fingerprint that it does not have', async () => {
      await start();
      await expect(node.client.readModelHeader({ fingerprint: 'other' }).next()).rejects.toMatchObject({
        code: 'model_not_found',
      });
    });

    describe('of many messages', () => {
      const MEBIBYTES = 16;

      const startWithLargeHeader = async () => {
        await start();
        await writeWithLargeHeader(MODEL, join(node.config.modelDirectory, 'large.gguf'), MEBIBYTES);
        const inventory = node.app.get(ModelInventory);
        await inventory.rescan();
        return inventory.inventory.models.find(({ id }) => id === 'large')!.fingerprint;
      };

      it('waits for a slow reader, which gets every byte, while it serves others', async () => {
        const fingerprint = await startWithLargeHeader();
        const slow = node.client.readModelHeader({ fingerprint });
        const first = await slow.next();
        const chunks = first.done ? [] : [first.value.data];
        await loadPipeline([node]);
        expect((await complete(node)).ids).toHaveLength(16);
        for await (const { data } of slow) chunks.push(data);
        const bytes = Buffer.concat(chunks);
        expect(bytes.length).toBeGreaterThan(MEBIBYTES * 2 ** 20);
        const file = await readFile(join(node.config.modelDirectory, 'large.gguf'));
        expect(bytes.equals(file.subarray(0, bytes.length))).toBe(true);
      });

      it('ends at its deadline and serves the next one', async () => {
        const fingerprint = await startWithLargeHeader();
        const read = async (deadlineMs: number) => {
          let bytes = 0;
          for await (const { data } of node.client.readModelHeader({ fingerprint }, { deadlineMs }))
            bytes += data.length;
          return bytes;
        };
        await expect(read(5)).rejects.toMatchObject({ code: 'deadline_exceeded' });
        expect(await read(10_000)).toBeGreaterThan(MEBIBYTES * 2 ** 20);
      });
    });

    it('survives a reader that leaves after the first chunk', async () => {
      await start();
      const stream = node.client.readModelHeader({ fingerprint: await node.fingerprint() });
      await stream.next();
      stream.cancel();
      await expect(stream.next()).rejects.toMatchObject({ code: 'cancelled' });
      await expect(node.client.readModelHeader({ fingerprint: 'other' }).next()).rejects.toMatchObject({
        code: 'model_not_found',
      });
    });
  });

  it('refuses every method without the cluster token', async () => {
    await start({ environment: { PANGALACTIC_CLUSTER_TOKEN: 'secret' } });
    // The stages of the pipeline, on one node here, reach each other with the token.
    await loadPipeline([node]);
    const call = (authorization?: string) =>
      callEveryMethod(node.address, ['pangalactic.v1.NodeService', 'grpc.health.v1.Health'], authorization);
    for (const wrong of [undefined, 'secret', 'Bearer guess']) {
      const answers = await call(wrong);
      expect(answers.length).toBeGreaterThan(5);
      const refusal = { status: 'UNAUTHENTICATED', code: 'invalid_cluster_token' };
      expect(answers).toEqual(answers.map(({ path }) => ({ path, ...refusal })));
    }
    expect((await call('Bearer secret')).filter(({ status }) => status === 'UNAUTHENTICATED')).toEqual([]);
  });

  it('serves health, readiness and metrics over HTTP', async () => {
    await start();
    await loadPipeline([node], { maxSequences: 3 });
    await complete(node, { maxTokens: 4 });
    const get = async (path: string) => {
      const response = await fetch(`${node.httpUrl}/${path}`);
      return { status: response.status, body: await response.text() };
    };
    expect(await get('healthz')).toMatchObject({ status: 200 });
    expect(await get('readyz')).toEqual({
      status: 503,
      body: '{"ready": false, "reasons": ["not registered with the hub yet"]}',
    });
    const { body } = await get('metrics');
    expect(body).toMatch(/^pangalactic_node_generated_tokens_total 4$/m);
    expect(body).toMatch(/^pangalactic_node_prompt_tokens_total 5$/m);
    expect(body).toMatch(/^pangalactic_node_slots_in_use 0$/m);
    expect(body).toMatch(/^pangalactic_node_sequences_running 0$/m);
    expect(body).toMatch(
      /^pangalactic_node_step_duration_seconds_count\{model="pangalactic-nano",pipeline="p1",stage="0",phase="decode"\} \d+$/m,
    );
    expect(body).toMatch(/^pangalactic_node_stage_state\{model="pangalactic-nano",pipeline="p1",stage="0"\} 2$/m);
    expect(body).toMatch(/^pangalactic_node_kv_cache_usage_perc\{.*pipeline="p1",stage="0"\} 0$/m);
    expect(body).toMatch(/^pangalactic_node_stage_layers\{.*stage="0",layers="\[0,\d+\)"\} \d+$/m);
  });

  it('drops the series of a pipeline that is unloaded', async () => {
    await start();
    const series = async () => {
      const lines = (await (await fetch(`${node.httpUrl}/metrics`)).text()).split('\n');
      return lines.filter((line) => line.includes('pipeline="'));
    };
    for (const id of ['first', 'second', 'third']) {
      await loadPipeline([node], { id });
      await complete(node, { pipelineId: id, maxTokens: 4 });
      const own = await series();
      expect(own.length).toBeGreaterThan(20);
      expect(own.every((line) => line.includes(`pipeline="${id}"`))).toBe(true);
      await node.pipelines.unload(id);
    }
    expect(await series()).toEqual([]);
  });

  async function decodeSteps(): Promise<number> {
    const metrics = await (await fetch(`${node.httpUrl}/metrics`)).text();
    return Number(/^pangalactic_node_step_duration_seconds_count\{.*phase="decode"\} (\d+)$/m.exec(metrics)?.[1]);
  }

  /** Waits until no more steps are run, and returns how many were. */
  function untilStill(): Promise<number> {
    let last = -1;
    const unchanged = async () => {
      const before = last;
      last = await decodeSteps();
      return last === before ? last : undefined;
    };
    return until(unchanged, { timeoutMs: 10_000, intervalMs: 100, message: 'the sequence is parked' });
  }
});
