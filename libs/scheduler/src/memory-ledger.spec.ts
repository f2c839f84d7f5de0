import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { stageMemory } from './memory-ledger';
import { modelInfo } from './simulated-cluster.fixture';

const limits = { contextLength: 256, maxSequences: 8 };

describe('stageMemory', () => {
  const model = modelInfo({ layerBytes: [1, 2, 3, 4, 5, 6].map((n) => n * 1000), vocabSize: 1000 });

  it.each([
    ['head', { from: 0, to: 2 }, 50_000 + 1000 + 2000],
    ['middle', { from: 2, to: 4 }, 3000 + 4000],
    ['tail', { from: 4, to: 6 }, 5000 + 6000 + 60_000],
    ['whole model', { from: 0, to: 6 }, 21_000 + 50_000 + 60_000],
  ])('counts the weights of a %s', (_name, layers, weights) => {
    expect(stageMemory(model, layers, limits).weights).toBe(weights);
  });

  it('counts K and V for every layer, slot and token', () => {
    expect(stageMemory(model, { from: 1, to: 4 }, limits).kv).toBe(3 * 8 * 256 * (2 * 16) * 2 * 4);
  });

  it('counts attention scores, activations of a chunk and, at the tail, the logits', () => {
    const scores = 4 * 128 * 256 * 4;
    const activations = 128 * (3 * 64 + 2 * (4 + 2) * 16 + 18 * 64) * 4;
    expect(stageMemory(model, { from: 0, to: 3 }, limits).workspace).toBe(scores + activations);
    expect(stageMemory(model, { from: 3, to: 6 }, limits).workspace).toBe(scores + activations + 8 * 1000 * 4);
  });

  it('takes the scores of the decode batch when it is wider than a chunk', () => {
    const wide = stageMemory(model, { from: 0, to: 1 }, { ...limits, maxSequences: 200 });
    const narrow = stageMemory(model, { from: 0, to: 1 }, { ...limits, maxSequences: 128 });
    expect(wide.workspace - narrow.workspace).toBe((200 - 128) * 4 * 256 * 4);
  });

  it('keeps weights and KV the same however the layers are cut', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 5 }), (cut) => {
        const whole = stageMemory(model, { from: 0, to: 6 }, limits);
        const head = stageMemory(model, { from: 0, to: cut }, limits);
        const tail = stageMemory(model, { from: cut, to: 6 }, limits);
        expect(head.weights + tail.weights).toBe(whole.weights);
        expect(head.kv + tail.kv).toBe(whole.kv);
        expect(head.total).toBe(head.weights + head.kv + head.workspace);
      }),
    );
  });
});
