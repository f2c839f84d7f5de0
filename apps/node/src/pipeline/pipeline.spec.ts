import { FinishReason, PangalacticError, ShardState } from '@pangalactic/contracts';
import { MockProvider } from '@pangalactic/inference';
import { FaultProxy, until } from '@pangalactic/testing';
import { type CallOptions, connectNode, type ServerStream } from '@pangalactic/transport';
import { afterEach, describe, expect, it } from 'vitest';
import { cachedTokens, complete, failure, firstToken, generateRequest, open } from '../testing/generate';
import { HeldProvider } from '../testing/held-provider';
import {
  loadPipeline,
  loadSpecs,
  pipelineSpec,
  TestNode,
  type TestNodeOptions,
  untilState,
} from '../testing/test-node';
import { TunnelledPipeline } from '../testing/tunnel';

const { SHARD_STATE_BROKEN, SHARD_STATE_LOADING, SHARD_STATE_READY } = ShardState;
/** Slow enough to meet a sequence while it runs. */
const slow = () => new MockProvider({ layerDelayMs: 1 });

describe('Pipeline', () => {
  let nodes: TestNode[] = [];

  const start = async (count: number, options: Partial<TestNodeOptions> = {}): Promise<[TestNode, ...TestNode[]]> => {
    for (let index = 0; index < count; index++) nodes.push(await TestNode.start({ id: `node-${index}`, ...options }));
    return nodes as [TestNode, ...TestNode[]];
  };

  afterEach(async () => {
    await Promise.all(nodes.map((node) => node.close()));
    nodes = [];
  });

  const headOf = (node: TestNode) => node.pipelines.require('p1').head?.scheduler;
  const untilIdle = (all: TestNode[]) =>
    until(() => all.every((node) => node.pipelines.require('p1').slotsInUse === 0), {
      timeoutMs: 5_000,
      intervalMs: 5,
      message: 'all slots free on every stage',
    });

  it('generates the same tokens over one stage and over three', async () => {
    const [first, second, third] = (await start(3)) as [TestNode, TestNode, TestNode];
    await loadPipeline([first], { id: 'whole' });
    await loadPipeline([first, second, third], { id: 'split' });
    const promptIds = Array.from({ length: 150 }, (_, index) => 1 + (index % 40));
    const whole = await complete(first, { pipelineId: 'whole', promptIds, maxTokens: 24 });
    expect(whole.ids).toHaveLength(24);
    expect(whole.reason).toBe(FinishReason.FINISH_REASON_LENGTH);
    expect(await complete(first, { pipelineId: 'split', promptIds, maxTokens: 24 })).toEqual(whole);
  });

  it('serves eight sequences at once, each as if it were alone', async () => {
    const [head, ...others] = await start(3);
    await loadPipeline([head, ...others]);
    const requests = Array.from({ length: 8 }, (_, index) => ({
      promptIds: Array.from({ length: 3 + 30 * index }, (_, token) => 1 + ((token * (index + 2)) % 60)),
      maxTokens: 20,
      seed: index,
      sampling: { temperature: index % 2, topP: 1 },
    }));
    const alone = [];
    for (const request of requests) alone.push(await complete(head, request));
    expect(await Promise.all(requests.map((request) => complete(head, request)))).toEqual(alone);
    await untilIdle(nodes);
  });

  it('queues more sequences than it has slots for and serves all', async () => {
    const [head, tail] = (await start(2)) as [TestNode, TestNode];
    await loadPipeline([head, tail], { maxSequences: 2 });
    const all = await Promise.all(
      Array.from({ length: 10 }, (_, index) => complete(head, { promptIds: [1 + index, 2], maxTokens: 8 })),
    );
    expect(all.every(({ ids }) => ids.length === 8)).toBe(true);
    await untilIdle(nodes);
  });

  it('goes on after the tokens of an earlier attempt', async () => {
    const [head, tail] = (await start(2)) as [TestNode, TestNode];
    await loadPipeline([head, tail]);
    const whole = await complete(head, { maxTokens: 12 });
    const rest = await complete(head, { maxTokens: 12, emittedIds: whole.ids.slice(0, 7) });
    expect(rest.ids).toEqual(whole.ids.slice(7));
  });

  it.each([0, 3])(
    'brings the log probabilities of the tail to the caller, %i beside each token',
    async (topLogprobs) => {
      const [head, tail] = (await start(2)) as [TestNode, TestNode];
      await loadPipeline([head, tail]);
      const tokens = [];
      for await (const { token } of open(head, { maxTokens: 3, sampling: { temperature: 0, topP: 1, topLogprobs } })) {
        if (token) tokens.push(token);
      }
      expect(tokens).toHaveLength(3);
      for (const { id, logprobs } of tokens) {
        expect(logprobs?.logprob).toBeCloseTo(Math.log(0.5));
        expect(logprobs?.top.map((ranked) => ranked.id)).toEqual([id, id + 1, id + 2].slice(0, topLogprobs));
      }
    },
  );

  it('computes only what a prompt does not share with an earlier one or a running one', async () => {
    const [head, ...others] = await start(3, { provider: slow });
    await loadPipeline([head, ...others]);
    await loadPipeline([head, ...others], { id: 'cold' });
    const promptIds = Array.from({ length: 100 }, (_, index) => 1 + ((index * index) % 61));
    const first = await complete(head, { promptIds, maxTokens: 8 });
    const turn = { promptIds: [...promptIds, ...first.ids, 7, 8, 9], maxTokens: 8 };
    const cold = await complete(head, { ...turn, pipelineId: 'cold' });
    expect(await cachedTokens(open(head, turn))).toBe(107);
    expect(await complete(head, turn)).toEqual(cold);

    const branch = { promptIds: [...promptIds.slice(0, 50), 3, 3, 3], maxTokens: 8 };
    const running = open(head, { ...turn, maxTokens: 100, pipelineId: 'cold' });
    await firstToken(running);
    const copied = await complete(head, { ...branch, pipelineId: 'cold' });
    running.cancel();
    await loadPipeline([head, ...others], { id: 'colder' });
    expect(copied).toEqual(await complete(head, { ...branch, pipelineId: 'colder' }));
  });

  it('keeps more groups in flight over slow hops', async () => {
    const [head, tail] = (await start(2, { provider: () => new MockProvider({ layerDelayMs: 2 }) })) as [
      TestNode,
      TestNode,
    ];
    const spec = await pipelineSpec([head, tail]);
    const tunnelled = await TunnelledPipeline.of(spec, { delayMs: 15 });
    try {
      await loadSpecs([head, tail], tunnelled.specs);
      await Promise.all(
        Array.from({ length: 8 }, (_, seed) => complete(head, { promptIds: [1 + seed, 2], maxTokens: 24, seed })),
      );
      expect(headOf(head)?.microBatches).toBeGreaterThan(4);
    } finally {
      tunnelled.close();
    }
  });

  it('ends with stop at an end-of-generation token', async () => {
    const [head] = await start(1, { provider: () => new MockProvider({ layerDelayMs: 0, endAtIndex: 3 }) });
    await loadPipeline([head]);
    const { ids, reason } = await complete(head);
    expect(reason).toBe(FinishReason.FINISH_REASON_STOP);
    expect(ids).toHaveLength(3);
  });

  it.each<[string, CallOptions, (ways: { call: ServerStream<unknown>; proxy: FaultProxy }) => void]>([
    ['is cancelled', {}, ({ call }) => call.cancel()],
    ['loses its connection', {}, ({ proxy }) => proxy.close()],
    ['passes its deadline', { deadlineMs: 2_000 }, () => undefined],
  ])('frees the slot on every stage within the step that is running when a call %s', async (_case, options, leave) => {
    const engines: HeldProvider[] = [];
    const provider = () => {
      engines.push(new HeldProvider());
      return engines.at(-1) as HeldProvider;
    };
    const all = await start(3, { provider });
    await loadPipeline(all, { maxSequences: 1 });
    const tail = engines[2] as HeldProvider;
    tail.holdAfter(3);
    const proxy = await FaultProxy.to(all[0].address);
    const client = connectNode(proxy.address, { clusterToken: undefined });
    const call = client.generate(generateRequest({ maxTokens: 200 }), options);
    const ended = failure(call);
    await until(() => tail.stepsHeld === 1, { timeoutMs: 5_000, intervalMs: 5, message: 'a step is held at the tail' });
    expect(headOf(all[0])?.slotsInUse).toBe(1);
    const begun = engines.map(({ stepsBegun }) => stepsBegun);

    leave({ call, proxy });
    expect(await ended).toBeInstanceOf(PangalacticError);
    await until(() => headOf(all[0])?.runningSequences === 0, {
      timeoutMs: 5_000,
      intervalMs: 5,
      message: 'no sequence',
    });
    tail.release();
    await untilIdle(all);
    expect(engines.map(({ stepsBegun }) => stepsBegun)).toEqual(begun);
    expect((await complete(all[0], { maxTokens: 3 })).ids).toHaveLength(3);
    client.close();
    proxy.close();
  });

  it('forgets a sequence that is cancelled while it waits for a slot', async () => {
    const [head] = await start(1, { provider: slow });
    await loadPipeline([head], { maxSequences: 1 });
    const running = open(head, { maxTokens: 200 });
    await firstToken(running);
    const waiting = open(head, { promptIds: [9] });
    await until(() => headOf(head)?.waitingSequences === 1, { timeoutMs: 5_000, message: 'one sequence waiting' });
    waiting.cancel();
    await until(() => headOf(head)?.waitingSequences === 0, { timeoutMs: 5_000, message: 'none waiting' });
    running.cancel();
  });

  describe('when a stage goes', () => {
    const faultsOf = (all: readonly TestNode[]) =>
      Promise.all(all.map(async (node) => (await untilState(node, 'p1', SHARD_STATE_BROKEN)).fault));

    const runningCalls = async (head: TestNode) => {
      const calls = Array.from({ length: 4 }, () => open(head, { maxTokens: 250 }));
      await Promise.all(calls.map((call) => firstToken(call)));
      return calls;
    };

    it.each([0, 1, 2, 3])('because the engine of stage %i fails, every stage says what it said', async (stage) => {
      const provider = new MockProvider({ layerDelayMs: 1 });
      for (let index = 0; index < 4; index++) {
        const options = index === stage ? { provider: () => provider } : { provider: slow };
        nodes.push(await TestNode.start({ id: `node-${index}`, ...options }));
      }
      const [head] = nodes as [TestNode];
      await loadPipeline(nodes);
      const calls = await runningCalls(head);
      await provider.close();
      for (const error of await Promise.all(calls.map((call) => failure(call)))) {
        expect(error).toMatchObject({
          code: 'pipeline_broken',
          message: `pipeline p1: stage ${stage} (node-${stage}): the shard was unloaded`,
        });
      }
      const nodeId = `node-${stage}`;
      const fault = { stage, nodeId, noticedBy: nodeId, reason: 'the shard was unloaded' };
      expect(await faultsOf(nodes)).toEqual(nodes.map(() => fault));
      expect(await failure(open(head))).toMatchObject({ code: 'pipeline_broken' });
    });

    it.each([1, 2])('by shutting down as stage %i, every other stage says so', async (stage) => {
      const all = await start(4, { provider: slow, environment: { NODE_DRAIN_TIMEOUT_S: '0' } });
      await loadPipeline(all);
      const calls = await runningCalls(all[0]);
      nodes = all.filter((_node, index) => index !== stage);
      await all[stage]?.close();
      for (const error of await Promise.all(calls.map((call) => failure(call)))) {
        expect(error).toMatchObject({
          message: `pipeline p1: stage ${stage} (node-${stage}): the node is shutting down`,
        });
      }
      const nodeId = `node-${stage}`;
      const fault = { stage, nodeId, noticedBy: nodeId, reason: 'the node is shutting down' };
      expect(await faultsOf(nodes)).toEqual(nodes.map(() => fault));
    });

    it('by shutting down as the head, ends the calls and frees the others', async () => {
      const all = await start(3, { provider: slow, environment: { NODE_DRAIN_TIMEOUT_S: '0' } });
      await loadPipeline(all);
      const [call] = await runningCalls(all[0]);
      nodes = all.slice(1);
      const ended = call && failure(call);
      await all[0].close();
      expect(await ended).toMatchObject({ code: 'service_unavailable' });
      const fault = { stage: 0, nodeId: 'node-0', noticedBy: 'node-0', reason: 'the node is shutting down' };
      expect(await faultsOf(nodes)).toEqual(nodes.map(() => fault));
    });

    it.each([0, 1, 2, 3])('without a word as stage %i, the others blame the lost connection to it', async (stage) => {
      const all = await start(4, { provider: slow });
      const pipeline = await TunnelledPipeline.of(await pipelineSpec(all));
      await loadSpecs(all, pipeline.specs);
      const [call] = await runningCalls(all[0]);
      pipeline.cutOff(stage);
      const others = all.filter((_node, index) => index !== stage);
      const reason = expect.stringMatching(/^the connection to it was lost/) as string;
      const noticedBy = expect.not.stringMatching(`node-${stage}`) as string;
      const fault = { stage, nodeId: `node-${stage}`, reason, noticedBy };
      expect(await faultsOf(others)).toEqual(others.map(() => fault));
      if (call && stage > 0) {
        const message = expect.stringContaining(
          `stage ${stage} (node-${stage}): the connection to it was lost`,
        ) as string;
        expect(await failure(call)).toMatchObject({ code: 'pipeline_broken', message });
      }
      pipeline.close();
    });
  });

  it('breaks when a step misses its deadline, and tells even the stage that still computes it', async () => {
    const hanging = () => new MockProvider({ layerDelayMs: 60_000 });
    const [head] = await start(1, { stepDeadline: { floorMs: 50, initialMs: 100, margin: 10 } });
    nodes.push(await TestNode.start({ id: 'node-1', provider: hanging }));
    const tail = nodes[1] as TestNode;
    const spec = await pipelineSpec(nodes);
    nodes.forEach((node, stage) => node.pipelines.load({ clusterId: 'c', term: 1, pipeline: spec, stage }));
    const { fault } = await untilState(head, 'p1', SHARD_STATE_BROKEN);
    expect(fault).toEqual({
      stage: 0,
      nodeId: 'node-0',
      noticedBy: 'node-0',
      reason: 'step 1 (prefill, 1 rows, 2 tokens) had no result within 100 ms',
    });
    expect((await untilState(tail, 'p1', SHARD_STATE_BROKEN)).fault).toEqual(fault);
    nodes = nodes.slice(0, 1);
  });

  it('waits for a stage that loads later, and is not ready before', async () => {
    const [head, tail] = (await start(2)) as [TestNode, TestNode];
    const spec = await pipelineSpec([head, tail]);
    head.pipelines.load({ clusterId: 'c', term: 1, pipeline: spec, stage: 0 });
    await untilState(head, 'p1', SHARD_STATE_LOADING);
    expect(await failure(open(head))).toMatchObject({ code: 'model_not_ready' });
    tail.pipelines.load({ clusterId: 'c', term: 1, pipeline: spec, stage: 1 });
    await untilState(head, 'p1', SHARD_STATE_READY);
    expect((await complete(head, { maxTokens: 2 })).ids).toHaveLength(2);
  });

  it.each<[string, (node: TestNode) => Promise<unknown>]>([
    ['is unloaded', (node) => node.pipelines.unload('p1')],
    ['belongs to a node that shuts down', (node) => node.app.close()],
  ])('gives up its load when it %s', async (_case, end) => {
    const [node] = await start(1, { provider: () => new MockProvider({ layerDelayMs: 0, layerLoadMs: 3_600_000 }) });
    node.pipelines.load({ clusterId: 'c', term: 1, pipeline: await pipelineSpec([node]), stage: 0 });
    await untilState(node, 'p1', SHARD_STATE_LOADING);
    await end(node);
    expect(node.pipelines.statuses()).toEqual([]);
  });

  it('breaks while loading when another stage cannot load, with its reason', async () => {
    const [head, tail] = (await start(2)) as [TestNode, TestNode];
    const spec = await pipelineSpec([head, tail]);
    const broken = { ...spec, fingerprint: 'unknown' };
    tail.pipelines.load({ clusterId: 'c', term: 1, pipeline: broken, stage: 1 });
    const { fault } = await untilState(tail, 'p1', SHARD_STATE_BROKEN);
    expect(fault).toMatchObject({
      stage: 1,
      nodeId: 'node-1',
      reason: expect.stringMatching(/no model with fingerprint/) as string,
    });
    head.pipelines.load({ clusterId: 'c', term: 1, pipeline: spec, stage: 0 });
    expect((await untilState(head, 'p1', SHARD_STATE_BROKEN)).fault).toMatchObject({ stage: 1, nodeId: 'node-1' });
  });

  it('gives up its place when it is unloaded, and another may take it', async () => {
    const [head, tail] = (await start(2, { provider: slow })) as [TestNode, TestNode];
    await loadPipeline([head, tail]);
    const call = open(head, { maxTokens: 250 });
    await firstToken(call);
    const gone: ShardState[] = [];
    head.pipelines.onStatus(({ state }) => gone.push(state));
    await Promise.all([head.pipelines.unload('p1'), tail.pipelines.unload('p1')]);
    expect(await failure(call)).toMatchObject({ code: 'pipeline_broken' });
    expect(gone.at(-1)).toBe(ShardState.SHARD_STATE_GONE);
    expect(head.status('p1')).toBeUndefined();
    await loadPipeline([head, tail], { id: 'p2' });
    expect((await complete(head, { pipelineId: 'p2', maxTokens: 3 })).ids).toHaveLength(3);
  });
});
