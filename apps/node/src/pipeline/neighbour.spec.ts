import { type InferenceProvider, MockProvider } from '@pangalactic/inference';
import { until } from '@pangalactic/testing';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { pipelineSpec, TestNode } from '../testing/test-node';
import { Neighbour } from './neighbour';

const STALL_MS = 600_000;
const SILENCE_MS = 15_000;

/** An engine whose loads get as far as the test says. */
class SteeredLoads extends MockProvider {
  report: (fraction: number) => void = () => undefined;
  finish: () => void = () => undefined;

  override async load(...[spec, onProgress, signal]: Parameters<InferenceProvider['load']>) {
    this.report = onProgress;
    await new Promise<void>((resolve) => {
      this.finish = resolve;
      signal?.addEventListener('abort', () => resolve());
    });
    return super.load(spec, onProgress, signal);
  }
}

describe('Neighbour', () => {
  let engine: SteeredLoads;
  let nodes: TestNode[];
  let neighbour: Neighbour;
  let now: number;
  let clockReads: number;
  let heard: number[];

  /** Dials stage 1 of three; the last one loads as the test says. */
  beforeEach(async () => {
    engine = new SteeredLoads();
    const ids = ['node-0', 'node-1', 'node-2'];
    nodes = [];
    for (const id of ids)
      nodes.push(await TestNode.start({ id, ...(id === 'node-2' ? { provider: () => engine } : {}) }));
    const spec = await pipelineSpec(nodes);
    for (const stage of [1, 2]) nodes[stage]?.pipelines.load({ clusterId: 'c', term: 1, pipeline: spec, stage });
    now = 0;
    clockReads = 0;
    heard = [];
    const options = {
      spec,
      ownStage: 0,
      stage: 1,
      clusterToken: '',
      loadStallMs: STALL_MS,
      silenceMs: SILENCE_MS,
      now: () => (clockReads++, now),
    };
    neighbour = new Neighbour(options, () => undefined);
  });
  afterEach(async () => {
    await neighbour.close({ stage: 0, nodeId: 'node-0', reason: 'over' });
    await Promise.all(nodes.map((node) => node.close()));
  });

  const untilHeard = (progress: number) =>
    until(() => (heard.at(-1) ?? -1) >= progress, {
      timeoutMs: 10_000,
      intervalMs: 5,
      message: () => `progress ${progress}, heard ${heard.join(', ')}`,
    });

  it('waits for stages behind it for as long as they make progress, however long it takes', async () => {
    const opening = neighbour.openHop((progress) => heard.push(progress));
    for (const fraction of [0.2, 0.4, 0.6, 0.8]) {
      await until(() => (engine.report(fraction), nodes[2]?.status('p1')?.progress === fraction), {
        timeoutMs: 10_000,
        intervalMs: 5,
        message: `the last stage has loaded ${fraction}`,
      });
      // The stage between has loaded.
      await untilHeard(1 + fraction);
      now += 0.9 * STALL_MS;
    }
    engine.finish();
    await expect(opening).resolves.toBeDefined();
  });

  it('gives up soon when nobody answers there at all', async () => {
    await nodes[1]?.close();
    const opening = neighbour.openHop((progress) => heard.push(progress));
    const refused = expect(opening).rejects.toMatchObject({
      fault: { stage: 1, nodeId: 'node-1', noticedBy: 'node-0' },
    });
    await until(() => clockReads > 3, { timeoutMs: 10_000, intervalMs: 5, message: 'some attempts' });
    now = SILENCE_MS + 1;
    await refused;
  });

  it('gives up when they make none for a while, and blames the stage that it dials', async () => {
    const opening = neighbour.openHop((progress) => heard.push(progress));
    const refused = expect(opening).rejects.toMatchObject({
      fault: { stage: 1, nodeId: 'node-1', reason: 'it made no progress while loading', noticedBy: 'node-0' },
    });
    await untilHeard(1);
    now = STALL_MS;
    const answers = heard.length;
    await until(() => heard.length > answers + 1, { timeoutMs: 10_000, intervalMs: 5, message: 'more answers' });
    now += 1;
    await refused;
  });
});
