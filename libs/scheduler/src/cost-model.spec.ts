import { describe, expect, it } from 'vitest';
import { ASSUMED_LINK, predict, typicalSpeed, workBytes } from './cost-model';
import { modelInfo } from './simulated-cluster.fixture';

const model = modelInfo({
  layers: 10,
  layerBytes: Array<number>(10).fill(100),
  outputBytes: 500,
  embeddingBytes: 9_000,
});
const stage = (nodeId: string, from: number, to: number, prefillMsPerByte = 0.001) => ({
  ...{ nodeId, layers: { from, to }, speed: { decodeMsPerByte: 0.01, prefillMsPerByte } },
});
const link = { rttMs: 4, bytesPerMs: model.hiddenSize * 4 };

describe('predict', () => {
  it('P4: counts every layer that a stage holds, and the output head', () => {
    const { stages, bottleneck } = predict(model, [stage('a', 0, 2), stage('b', 2, 10)], 1, () => link);
    expect(stages.map(({ computeMs }) => computeMs)).toEqual([2, 13]);
    expect(bottleneck).toBe(1);
  });

  it('counts the hops, and the way of the sampled token back to the head', () => {
    const { stages, tokenMs } = predict(model, [stage('a', 0, 5), stage('b', 5, 10)], 1, () => link);
    expect(stages.map(({ hopMs }) => hopMs)).toEqual([3, 2]);
    expect(tokenMs).toBe(5 + 3 + 10 + 2);
    expect(predict(model, [stage('a', 0, 10)], 8, () => link).tokenMs).toBe(15);
  });

  it('T8: does not multiply the rate of one sequence by their number: the slowest stage bounds it', () => {
    const stages = [stage('a', 0, 5), stage('b', 5, 10)];
    expect(predict(model, stages, 1, () => link).busyTokenMs).toBe(20);
    expect(predict(model, stages, 8, () => link).busyTokenMs).toBe(10);
    expect(predict(model, stages, 1000, () => ASSUMED_LINK).busyTokenMs).toBe(10);
  });
});

describe('predict, of a long prompt', () => {
  const wide = { rttMs: 4, bytesPerMs: 1e9 };
  it.each<[string, ReturnType<typeof stage>[], typeof link, number]>([
    ['the slowest stage decides', [stage('a', 0, 5), stage('b', 5, 10, 0.004)], wide, 4],
    [
      'or the narrowest way: 1,024 tokens of it are a transfer, not a round trip',
      [stage('a', 0, 5), stage('b', 5, 10)],
      link,
      1,
    ],
    ['or the engine, alone', [stage('a', 0, 10)], link, 1.5],
  ])('%s', (_case, stages, way, promptTokenMs) => {
    expect(predict(model, stages, 1, () => way).promptTokenMs).toBeCloseTo(promptTokenMs, 9);
  });
});

describe('workBytes', () => {
  it('leaves the embedding out, which is looked up', () => {
    expect(workBytes(model, { from: 0, to: 10 })).toBe(1_500);
  });
});

describe('typicalSpeed', () => {
  it('is the middle of the measured ones', () => {
    const speeds = [3, 1, 2].map((value) => ({ decodeMsPerByte: value, prefillMsPerByte: 10 * value }));
    expect(typicalSpeed([...speeds, undefined])).toEqual({ decodeMsPerByte: 2, prefillMsPerByte: 20 });
  });
});
