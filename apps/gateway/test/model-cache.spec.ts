import { loadGatewayConfig } from '@pangalactic/config';
import { freePort } from '@pangalactic/testing';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ModelCache } from '../src/models/model-cache';
import { SlicedWork } from '../src/sliced-work';
import { NodeClients } from '../src/models/node-clients';
import { RouteDirectory } from '../src/routing/route-directory';
import type { PipelineRoute } from '../src/routing/route-table';
import { FINGERPRINT, ScriptedCluster } from './scripted-cluster';

const SECOND = 1_000;

describe('ModelCache', () => {
  let cluster: ScriptedCluster;
  let clients: NodeClients;
  let cache: ModelCache;
  let now: number;

  beforeEach(async () => {
    cluster = await ScriptedCluster.start();
    clients = new NodeClients(new RouteDirectory(), loadGatewayConfig({}));
    now = 0;
    cache = new ModelCache(clients, new SlicedWork(), () => now);
  });
  afterEach(async () => {
    clients.onApplicationShutdown();
    await cluster.stop();
  });

  const route = (...addresses: [string, ...string[]]): PipelineRoute => ({
    ...{ pipelineId: 'p1', modelId: 'pangalactic-nano', fingerprint: FINGERPRINT, contextLength: 512 },
    ...{ maxSequences: 8, readyAt: 0, addresses },
  });
  const here = () => route(cluster.address);
  const tokenizerSize = async (from: PipelineRoute) => (await cache.get(from)).tokenizer.vocabSize;

  it('reads a header once, also for requests that come together', async () => {
    expect(await Promise.all([tokenizerSize(here()), tokenizerSize(here())])).toEqual([2048, 2048]);
    now += 1_000 * SECOND;
    expect(await tokenizerSize(route('127.0.0.1:1'))).toBe(2048);
    expect(cluster.headerReads).toBe(1);
  });

  it('does not read a header again that cannot be used, until a minute later', async () => {
    const { header } = cluster;
    cluster.header = Buffer.from('no header at all');
    const failing = () => expect(cache.get(here())).rejects.toMatchObject({ code: 'corrupt_model_file' });
    await failing();
    now = 59 * SECOND;
    await failing();
    expect(cluster.headerReads).toBe(1);
    now = 60 * SECOND;
    await failing();
    expect(cluster.headerReads).toBe(2);
    cluster.header = header;
    now = 120 * SECOND;
    expect(await tokenizerSize(here())).toBe(2048);
  });

  it('asks other stages at once', async () => {
    const { header } = cluster;
    cluster.header = Buffer.from('no header at all');
    await expect(cache.get(here())).rejects.toMatchObject({ code: 'corrupt_model_file' });
    cluster.header = header;
    expect(await tokenizerSize(route(cluster.address, cluster.address))).toBe(2048);
  });

  it('asks stages that could not be reached again after a second', async () => {
    const port = await freePort();
    const failing = () => expect(cache.get(route(`127.0.0.1:${port}`))).rejects.toThrow('No node could send');
    await failing();
    const first = cache.get(route(`127.0.0.1:${port}`));
    expect(cache.get(route(`127.0.0.1:${port}`))).toBe(first);
    await expect(first).rejects.toMatchObject({ code: 'service_unavailable' });
    now = 1 * SECOND;
    const second = cache.get(route(`127.0.0.1:${port}`));
    expect(second).not.toBe(first);
    await expect(second).rejects.toMatchObject({ code: 'service_unavailable' });
  });
});
