import {
  ActivationFormat,
  type HopRequest,
  type HopResponse,
  type PipelineSpec,
  ShardState,
  type Step,
} from '@pangalactic/contracts';
import { MockProvider } from '@pangalactic/inference';
import type { Duplex } from '@pangalactic/transport';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ModelInventory } from '../models/model-inventory.service';
import { GREEDY } from '../testing/generate';
import { pipelineSpec, TestNode, untilState } from '../testing/test-node';

/** A tail whose head is this test: every message of the data plane by hand. */
describe('the data plane of a tail', () => {
  let tail: TestNode;
  let spec: PipelineSpec;
  let hiddenSize: number;
  let number: number;
  let hop: Duplex<HopRequest, HopResponse>;

  const send = (body: Omit<HopRequest, 'number'>) => hop.send({ number: ++number, ...body });
  const open = async () => {
    await send({ open: { pipelineId: 'p1', stage: 1 } });
    expect((await hop.next()).value).toMatchObject({ ready: {} });
  };
  const start = (slot: number, generation: number) => ({
    start: { slot, generation, sampling: GREEDY, seed: 0, choiceIndex: 0, promptIds: [1, 2, 3, 4], emittedIds: [] },
  });
  const step = (id: number, at: number, count: number, overrides: Partial<Step> = {}) => ({
    step: {
      step: id,
      rows: [{ slot: 0, generation: 1, start: at, count, sample: true }],
      hidden: Buffer.alloc(count * hiddenSize * 4),
      timings: [],
      ...overrides,
    },
  });
  const openResults = async () => {
    const results = tail.client.results({ pipelineId: 'p1' });
    expect((await results.next()).value).toMatchObject({ ready: {} });
    return results;
  };
  /** The fault that the tail closes its hop with, which it reports too. */
  const fault = async () => {
    const last = await hop.next();
    const status = await untilState(tail, 'p1', ShardState.SHARD_STATE_BROKEN);
    if (last.done || !last.value.fault) throw new Error('the hop did not end with a fault');
    expect(status.fault).toEqual(last.value.fault);
    expect((await hop.next()).done).toBe(true);
    return last.value.fault;
  };

  beforeEach(async () => {
    // Its sequences have no head that would end them.
    tail = await TestNode.start({ id: 'tail', environment: { NODE_DRAIN_TIMEOUT_S: '0' } });
    hiddenSize = tail.app.get(ModelInventory).inventory.models[0]?.hiddenSize ?? 0;
    spec = await pipelineSpec([tail, tail], { contextLength: 16, maxSequences: 2 });
    spec = { ...spec, stages: spec.stages.map((stage, index) => (index === 0 ? { ...stage, nodeId: 'head' } : stage)) };
    tail.pipelines.load({ clusterId: 'c', term: 1, pipeline: spec, stage: 1 });
    await untilState(tail, 'p1', ShardState.SHARD_STATE_READY);
    number = 0;
    hop = tail.client.hop();
  });

  afterEach(() => tail.close());

  it('answers each step with one result, also when nothing is sampled', async () => {
    const results = await openResults();
    await open();
    await send(start(0, 1));
    await send(step(1, 0, 2, { rows: [{ slot: 0, generation: 1, start: 0, count: 2, sample: false }] }));
    await send(step(2, 2, 2));
    await send({ release: { slot: 0, generation: 1 } });
    await send(start(0, 2));
    await send(step(3, 0, 4, { rows: [{ slot: 0, generation: 2, start: 0, count: 4, sample: true }] }));
    expect((await results.next()).value).toMatchObject({ result: { step: 1, samples: [] } });
    expect((await results.next()).value).toMatchObject({ result: { step: 2, samples: [{ slot: 0, generation: 1 }] } });
    expect((await results.next()).value).toMatchObject({ result: { step: 3, samples: [{ slot: 0, generation: 2 }] } });
  });

  it('copies a prefix between slots', async () => {
    const results = await openResults();
    await open();
    await send(start(0, 1));
    await send(step(1, 0, 4));
    await send(start(1, 1));
    await send({ copy: { fromSlot: 0, toSlot: 1, count: 3 } });
    await send(step(2, 3, 1, { rows: [{ slot: 1, generation: 1, start: 3, count: 1, sample: true }] }));
    const ids = [];
    for (let index = 0; index < 2; index++) {
      const next = await results.next();
      ids.push(next.done ? undefined : next.value.result?.samples[0]?.id);
    }
    expect(ids[1]).toBe(ids[0]);
  });

  it('refuses to compute before the head has opened the results', async () => {
    await open();
    await send(start(0, 1));
    await send(step(1, 0, 4));
    expect(await fault()).toEqual({
      stage: 1,
      nodeId: 'tail',
      noticedBy: 'tail',
      reason: 'step 1 before the head opened the results',
    });
  });

  it.each<[string, () => Promise<void>, RegExp]>([
    ['a gap in the numbers', () => ((number += 1), send(start(0, 1))), /hop message 3 arrived, 2 was expected/],
    ['a number twice', () => ((number -= 1), send(start(0, 1))), /hop message 1 arrived, 2 was expected/],
    ['a message without a body', () => send({}), /none of start, copy, release, step and fault/],
    [
      'a second open',
      () => send({ open: { pipelineId: 'p1', stage: 1 } }),
      /none of start, copy, release, step and fault/,
    ],
    [
      'a start without sampling',
      () => send({ start: { ...start(0, 1).start, sampling: undefined } }),
      /without sampling/,
    ],
    ['a step without a sequence', () => send(step(1, 0, 2)), /slot 0: no sequence holds it/],
    ['an unknown slot', () => send(start(2, 1)), /slot 2: allowed are 0 to 1/],
    ['a tensor of the wrong size', () => send(step(1, 0, 2, { hidden: Buffer.alloc(4) })), /4 bytes arrived/],
  ])('breaks at %s', async (_case, act, reason) => {
    await openResults();
    await open();
    await act();
    expect((await fault()).reason).toMatch(reason);
  });

  it('takes no hop in another activation format than it was told', async () => {
    const activationFormat = ActivationFormat.ACTIVATION_FORMAT_F16;
    await send({ open: { pipelineId: 'p1', stage: 1, activationFormat } });
    await expect(hop.next()).rejects.toMatchObject({
      code: 'invalid_request',
      message: 'stage 1 of p1 takes f32, not f16',
    });
    expect(tail.status('p1')?.state).toBe(ShardState.SHARD_STATE_READY);
  });

  it.each<[string, () => Promise<void>, RegExp]>([
    ['a KV gap', () => send(step(1, 1, 2)), /starts at 1, its KV ends at 0/],
    ['a stale generation', () => send({ release: { slot: 0, generation: 0 } }), /generation 0 is stale, 1 holds it/],
    ['a row beyond the context', () => send(step(1, 0, 17)), /beyond the context of 16/],
    ['a copy of more than is there', () => send({ copy: { fromSlot: 1, toSlot: 0, count: 1 } }), /which holds 0/],
  ])('breaks at %s and tells the head over the results too', async (_case, act, reason) => {
    const results = await openResults();
    await open();
    await send(start(0, 1));
    await act();
    const expected = await fault();
    expect(expected.reason).toMatch(reason);
    expect((await results.next()).value).toEqual({ ready: undefined, result: undefined, fault: expected });
    expect((await results.next()).done).toBe(true);
  });

  it.each<[string, () => void, string]>([
    ['ends', () => hop.end(), 'the connection to it was lost'],
    ['is cancelled', () => hop.cancel(), 'the connection to it was lost: the caller has cancelled or gone away'],
  ])('breaks when the hop %s without a fault', async (_case, act, reason) => {
    await open();
    act();
    const status = await untilState(tail, 'p1', ShardState.SHARD_STATE_BROKEN);
    expect(status.fault).toEqual({ stage: 0, nodeId: 'head', noticedBy: 'tail', reason });
  });

  it('takes the fault of another stage for its own and passes it on, before the connection goes', async () => {
    const results = await openResults();
    await open();
    const told = { stage: 7, nodeId: 'node-7', reason: 'no space left' };
    await send({ fault: told });
    expect(await fault()).toEqual(told);
    expect((await results.next()).value).toMatchObject({ fault: told });
    expect((await results.next()).done).toBe(true);
  });

  it('hears a fault behind steps for which it has no room yet', async () => {
    const busy = await TestNode.start({ id: 'tail', provider: () => new MockProvider({ layerDelayMs: 250 }) });
    busy.pipelines.load({ clusterId: 'c', term: 1, pipeline: spec, stage: 1 });
    await untilState(busy, 'p1', ShardState.SHARD_STATE_READY);
    await busy.client.results({ pipelineId: 'p1' }).next();
    hop = busy.client.hop();
    await open();
    await send(start(0, 1));
    for (let id = 1; id <= 20; id++) await send(step(id, 0, 4));
    const told = { stage: 0, nodeId: 'head', reason: 'step 1 had no result' };
    await send({ fault: told });
    expect((await hop.next()).value).toMatchObject({ fault: told });
    expect(busy.status('p1')?.fault).toEqual(told);
    await busy.close();
  });

  it('breaks when the deadline of the hop passes', async () => {
    hop = tail.client.hop({ deadlineMs: 100 });
    await open();
    await untilState(tail, 'p1', ShardState.SHARD_STATE_BROKEN);
    await expect(hop.next()).rejects.toMatchObject({ code: 'deadline_exceeded' });
  });

  it('breaks when the head stops reading the results', async () => {
    const results = await openResults();
    results.cancel();
    const status = await untilState(tail, 'p1', ShardState.SHARD_STATE_BROKEN);
    expect(status.fault).toEqual({
      stage: 0,
      nodeId: 'head',
      noticedBy: 'tail',
      reason: 'the connection to it was lost',
    });
  });

  it('breaks when the head goes on without reading results', async () => {
    await openResults();
    await open();
    await send(start(0, 1));
    const flood = async () => {
      for (let id = 1; ; id++) await send(step(id, 0, 1));
    };
    // Ends with the hop, which the tail closes.
    const flooding = flood().catch(() => undefined);
    expect((await fault()).reason).toMatch(/^step \d+ is beyond the \d+ steps allowed in flight$/);
    hop.cancel();
    await flooding;
  });

  it('breaks when the deadline of the results passes', async () => {
    const results = tail.client.results({ pipelineId: 'p1' }, { deadlineMs: 100 });
    await results.next();
    await expect(results.next()).rejects.toMatchObject({ code: 'deadline_exceeded' });
    await untilState(tail, 'p1', ShardState.SHARD_STATE_BROKEN);
  });

  it('tells whoever dials a broken pipeline what broke it', async () => {
    await open();
    await send({});
    const expected = await fault();
    number = 0;
    hop = tail.client.hop();
    await send({ open: { pipelineId: 'p1', stage: 1 } });
    expect((await hop.next()).value).toMatchObject({ fault: expected });
    const results = tail.client.results({ pipelineId: 'p1' });
    expect((await results.next()).value).toMatchObject({ fault: expected });
  });

  it.each<[string, HopRequest, string]>([
    ['another pipeline', { number: 1, open: { pipelineId: 'p2', stage: 1 } }, 'pipeline_not_found'],
    ['another stage', { number: 1, open: { pipelineId: 'p1', stage: 0 } }, 'invalid_request'],
    ['something else than open', { number: 1, release: { slot: 0, generation: 1 } }, 'invalid_frame'],
    ['another number', { number: 2, open: { pipelineId: 'p1', stage: 1 } }, 'invalid_frame'],
  ])('refuses a hop that begins with %s, and goes on', async (_case, first, code) => {
    await hop.send(first);
    await expect(hop.next()).rejects.toMatchObject({ code });
    hop = tail.client.hop();
    await open();
  });

  it('refuses a hop that ends before it is opened', async () => {
    hop.end();
    await expect(hop.next()).rejects.toMatchObject({ code: 'invalid_frame' });
  });

  it('has one hop and one reader of its results', async () => {
    await open();
    await openResults();
    await expect(tail.client.results({ pipelineId: 'p1' }).next()).rejects.toMatchObject({ code: 'invalid_request' });
    const second = tail.client.hop();
    await second.send({ number: 1, open: { pipelineId: 'p1', stage: 1 } });
    await expect(second.next()).rejects.toMatchObject({ code: 'invalid_request' });
    await send(start(0, 1));
  });

  it('refuses to read the results of a pipeline that it does not have', async () => {
    await expect(tail.client.results({ pipelineId: 'p2' }).next()).rejects.toMatchObject({
      code: 'pipeline_not_found',
    });
  });
});
