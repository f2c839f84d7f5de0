import { startCluster, until, type TestCluster } from '@pangalactic/testing';
import { connectHub } from '@pangalactic/transport';
import { afterAll, beforeAll, expect, it, onTestFinished } from 'vitest';
import { openaiClient } from '../cluster/openai-client';
import { StreamingLoad } from '../cluster/streaming-load';

/** 16-bit weights are computed in fp32: an answer is the same on every placement. */
const MODEL = 'pangalactic-nano-f16';
const waits = { timeoutMs: 30_000, intervalMs: 50 };

let cluster: TestCluster;

beforeAll(async () => {
  cluster = await startCluster({ nodes: 4, stages: 3, model: MODEL });
});

afterAll(() => cluster?.stop());

async function servingNodes(): Promise<string[]> {
  const { pipelines } = await cluster.view();
  return pipelines.flatMap(({ pipeline, state }) =>
    state === 'READY' ? (pipeline?.stages ?? []).map(({ nodeId }) => nodeId) : [],
  );
}

it('a drained node hands its stage over under load, and no request is lost', async () => {
  const hub = connectHub(cluster.layout.hubAddress, { clusterToken: '' });
  onTestFinished(() => hub.close());
  const load = await StreamingLoad.start(openaiClient(cluster), MODEL);
  const nodeId = (await servingNodes())[0]!;
  await hub.setNodeDrained({ nodeId, drained: true }, { deadlineMs: 5_000 });
  const isEmpty = async () => {
    const { pipelines } = await cluster.view();
    const held = pipelines.some(({ pipeline }) => pipeline?.stages.some((stage) => stage.nodeId === nodeId));
    return !held && (await servingNodes()).length === 3;
  };
  await until(isEmpty, { ...waits, message: `nothing is left on ${nodeId}` });
  const { failures, answered } = await load.stop();
  expect(failures).toEqual([]);
  expect(answered).toBeGreaterThan(0);
  await hub.setNodeDrained({ nodeId, drained: false }, { deadlineMs: 5_000 });
});

it('a hub that is killed and started again under load loses no request and loads nothing again', async () => {
  const load = await StreamingLoad.start(openaiClient(cluster), MODEL);
  const { pipelines } = await cluster.view();
  const loads = () => cluster.nodeNames.map((name) => cluster.process(name).logs().split('shard_loading').length);
  const before = loads();
  await cluster.kill('hub');
  const answered = load.answered;
  await until(() => load.answered > answered + 4, { ...waits, message: 'answers without a hub' });
  cluster.start('hub');
  const areBack = async () => (await cluster.view()).nodes.every(({ state }) => state === 'CONNECTED');
  await until(areBack, { ...waits, message: 'all nodes are back' });
  expect((await load.stop()).failures).toEqual([]);
  expect((await cluster.view()).pipelines).toMatchObject(pipelines.map(({ pipeline, state }) => ({ pipeline, state })));
  expect(loads()).toEqual(before);
});
