import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { MEMORY_HEADROOM } from './memory-ledger';
import { modelInfo } from './simulated-cluster.fixture';
import { sizePipeline } from './size-pipeline';

const MB = 1e6;
const model = modelInfo({
  id: 'model',
  layers: 22,
  hiddenSize: 2048,
  vocabSize: 32_000,
  contextLength: 2048,
  heads: 32,
  kvHeads: 4,
  headSize: 64,
  layerBytes: Array<number>(22).fill(33 * MB),
  embeddingBytes: 49 * MB,
  outputBytes: 54 * MB,
});

const size = (nodes: number[], wanted = {}, sizes = model) =>
  sizePipeline(
    sizes,
    nodes.map((megabytes) => ({ count: 1, memoryBytes: megabytes * MB })),
    wanted,
  );

describe('sizePipeline', () => {
  it('says what the model takes wherever it runs', () => {
    const { weightBytes, kvBytesPerToken, usableBytes } = size([1000, 3000]);
    expect(weightBytes).toBe((22 * 33 + 49 + 54) * MB);
    expect(kvBytesPerToken).toBe(22 * 4 * 64 * 2 * 4);
    expect(usableBytes).toBe(4000 * MB * MEMORY_HEADROOM);
  });

  it('shows every stage, in the memory of its node', () => {
    const { plan, shortage } = size([700, 700]);
    expect(shortage).toBeUndefined();
    expect(plan).toMatchObject({ contextLength: 2048, stages: [{ layers: { from: 0 } }, { layers: { to: 22 } }] });
    for (const { nodeBytes, memory } of plan!.stages) {
      expect(nodeBytes).toBe(700 * MB);
      expect(memory.total).toBeLessThanOrEqual(nodeBytes * MEMORY_HEADROOM);
    }
  });

  it.each<[string, number[], object, string]>([
    ['the weights', [400, 500], {}, 'weights'],
    ['the KV cache', [1300], { contextLength: 2048, maxSequences: 8 }, 'kv'],
    ['the workspace', [1120], { contextLength: 2048, maxSequences: 1 }, 'workspace'],
    [
      'a single layer with its table',
      [100, 100, 100, 100, 100, 100, 100, 100, 100, 100, 100, 100, 100, 100],
      {},
      'stage',
    ],
    ['contiguous layers', [139, 139, 139, 139, 139, 139, 139, 139, 139], {}, 'split'],
  ])('names what does not fit: %s', (_name, nodes, wanted, part) => {
    const { plan, shortage } = size(nodes, wanted);
    expect(plan).toBeUndefined();
    expect(shortage?.part).toBe(part);
    if (part !== 'split') expect(shortage!.neededBytes).toBeGreaterThan(shortage!.usableBytes);
  });

  it('counts the nodes that would do, for each kind', () => {
    const { fewestNodes } = size([450, 3000, 50], {});
    expect(fewestNodes.map(({ memoryBytes, nodes }) => [memoryBytes / MB, nodes])).toEqual([
      [3000, 1],
      [450, 3],
      [50, undefined],
    ]);
  });

  it('offers as few nodes as can hold the model', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 150, max: 3000 }),
        fc.constantFrom({}, { contextLength: 1024 }),
        (megabytes, wanted) => {
          const [fewest] = size([megabytes], wanted).fewestNodes;
          if (fewest?.nodes === undefined) return;
          const fits = (count: number) => size(Array<number>(count).fill(megabytes), wanted).plan !== undefined;
          expect(fits(fewest.nodes)).toBe(true);
          if ('contextLength' in wanted && fewest.nodes > 1) expect(fits(fewest.nodes - 1)).toBe(false);
        },
      ),
      { numRuns: 30 },
    );
  });
});
