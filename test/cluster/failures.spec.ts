import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { NodeView } from '@pangalactic/contracts';
import { GgmlType } from '@pangalactic/models';
import { readyPipeline, startCluster, until, writeRandomModel, type TestCluster } from '@pangalactic/testing';
import type OpenAI from 'openai';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { openaiClient } from './openai-client';

/** Random weights never end an answer, so there is time to break something in the middle of it. */
const MODEL = 'endless';
const MAX_TOKENS = 1000;
/** More than the longest pause between two attempts of a node to reach its hub. */
const HEARTBEAT_TIMEOUT_S = 6;

let modelDirectory: string;
let cluster: TestCluster;
let client: OpenAI;

beforeAll(async () => {
  modelDirectory = await mkdtemp(join(tmpdir(), 'pangalactic-models-'));
  const shape = {
    layers: 4,
    hiddenSize: 256,
    feedForwardSize: 512,
    heads: 4,
    kvHeads: 2,
    headSize: 64,
    vocabSize: 1024,
    tiedEmbeddings: false,
    contextLength: 2048,
  };
  await writeRandomModel(join(modelDirectory, `${MODEL}.gguf`), shape, { seed: 1, type: GgmlType.Q8_0 });
  cluster = await startCluster({
    nodes: 2,
    model: MODEL,
    modelDirectory,
    env: { hub: { HUB_HEARTBEAT_TIMEOUT_S: String(HEARTBEAT_TIMEOUT_S) } },
  });
  client = openaiClient(cluster);
});

afterAll(async () => {
  await cluster?.stop();
  await rm(modelDirectory, { recursive: true, force: true });
});

function startAnswer(signal?: AbortSignal) {
  const request = { model: MODEL, prompt: 'Once upon a time', max_tokens: MAX_TOKENS, temperature: 0 };
  return client.completions.create({ ...request, stream: true, stream_options: { include_usage: true } }, { signal });
}

/** @returns its completion tokens, 5 */
async function shortAnswer(): Promise<number | undefined> {
  const answer = await client.completions.create({ model: MODEL, prompt: 'And then', max_tokens: 5, temperature: 0 });
  return answer.usage?.completion_tokens;
}

async function slotsInUse(): Promise<number[]> {
  return Promise.all(cluster.nodeNames.map((name) => cluster.metric(name, 'pangalactic_node_slots_in_use')));
}

it('frees the slot on every stage when the client leaves', async () => {
  const leaving = new AbortController();
  let chunks = 0;
  const reading = (async () => {
    for await (const _ of await startAnswer(leaving.signal)) {
      chunks += 1;
      if (chunks === 5) {
        expect(await slotsInUse()).toEqual([1, 1]);
        leaving.abort();
      }
    }
  })();
  await reading.catch((error: unknown) => {
    if (!leaving.signal.aborted) throw error;
  });
  await until(async () => (await slotsInUse()).every((slots) => slots === 0), {
    timeoutMs: 15_000,
    message: 'no slot is in use',
  });
  const generated = await Promise.all(
    cluster.nodeNames.map((name) => cluster.metric(name, 'pangalactic_node_generated_tokens_total')),
  );
  expect(Math.max(...generated)).toBeLessThan(MAX_TOKENS);
});

it('finishes a running stream, and answers new requests, while the hub is dead', async () => {
  const pipelineId = readyPipeline(await cluster.view())?.pipeline?.id;
  let beforeDeath = 0;
  let completionTokens = 0;
  let hubIsDead = false;
  for await (const chunk of await startAnswer()) {
    completionTokens = chunk.usage?.completion_tokens ?? completionTokens;
    if (!hubIsDead) beforeDeath += 1;
    if (beforeDeath === 5 && !hubIsDead) {
      await cluster.kill('hub');
      hubIsDead = true;
    }
  }
  expect(hubIsDead).toBe(true);
  expect(completionTokens).toBe(MAX_TOKENS);

  expect(await shortAnswer()).toBe(5);

  // The nodes keep what they serve, and the new hub leaves it there.
  cluster.start('hub');
  await until(async () => (await stateOf('node-1')) === 'CONNECTED' && (await stateOf('node-2')) === 'CONNECTED', {
    timeoutMs: 30_000,
    message: 'the nodes are back',
  });
  expect(readyPipeline(await cluster.view())?.pipeline?.id).toBe(pipelineId);
});

async function nodeView(name: string): Promise<NodeView | undefined> {
  return (await cluster.view()).nodes.find(({ id }) => id === name);
}

async function stateOf(name: string): Promise<string | undefined> {
  return (await nodeView(name))?.state;
}

function readyz(): Promise<Response> {
  return fetch(cluster.url('gateway', '/readyz'));
}

it('marks an idle node FAILED after the timeout, and is ready again when it returns', async () => {
  await until(async () => (await stateOf('node-2')) === 'CONNECTED', { timeoutMs: 30_000, message: 'node-2 is back' });
  expect((await readyz()).status).toBe(200);

  await cluster.kill('node-2');
  const failed = async () => {
    const node = await nodeView('node-2');
    return node?.state === 'FAILED' ? node : undefined;
  };
  const { heartbeatAgeMs } = await until(failed, { timeoutMs: 30_000, message: 'node-2 is FAILED' });
  expect(heartbeatAgeMs).toBeGreaterThan(HEARTBEAT_TIMEOUT_S * 1_000);

  await until(async () => (await readyz()).status === 503, { timeoutMs: 30_000, message: '/readyz says 503' });
  expect(await (await readyz()).json()).toMatchObject({ ready: false });

  cluster.start('node-2');
  await until(async () => (await readyz()).status === 200, { timeoutMs: 30_000, message: '/readyz says 200' });
  expect(await (await readyz()).text()).toBe('{"ready": true}');
  expect(await shortAnswer()).toBe(5);
});

it('goes on with the answer when a node dies in the middle of it and comes back', async () => {
  const resumes = () => cluster.metric('gateway', 'pangalactic_request_resumes_total');
  let chunks = 0;
  let completionTokens = 0;
  let finishReason: string | null = null;
  for await (const chunk of await startAnswer()) {
    chunks += 1;
    completionTokens = chunk.usage?.completion_tokens ?? completionTokens;
    finishReason = chunk.choices[0]?.finish_reason ?? finishReason;
    if (chunks !== 5) continue;
    await cluster.kill('node-2');
    cluster.start('node-2');
  }
  expect([completionTokens, finishReason]).toEqual([MAX_TOKENS, 'length']);
  expect(await resumes()).toBe(1);
  expect(await shortAnswer()).toBe(5);
});
