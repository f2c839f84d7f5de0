import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { workBytes } from './cost-model';
import { MEMORY_HEADROOM, stageMemory } from './memory-ledger';
import { planPipeline, type Candidate, type PlannedPipeline, type PlanOptions } from './plan-pipeline';
import { modelInfo } from './simulated-cluster.fixture';

const MB = 1e6;
/** 22 layers of 25 MB in the engine: the shape of TinyLlama-1.1B in Q4_0. */
const tinyLlama = modelInfo({
  id: 'tinyllama',
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

const nodes = (...megabytes: number[]): Candidate[] =>
  megabytes.map((size, index) => ({
    nodeId: `n${index}`,
    address: `n${index}:7200`,
    memoryBytes: size * MB,
    usedBytes: 0,
  }));

const planned = (plan: ReturnType<typeof planPipeline>): PlannedPipeline => {
  if ('reason' in plan) throw new Error(plan.reason);
  return plan;
};
const reasonOf = (plan: ReturnType<typeof planPipeline>): string => ('reason' in plan ? plan.reason : 'planned');
const layerCounts = (plan: PlannedPipeline) =>
  plan.stages.map(({ nodeId, layers }) => `${nodeId}:${layers!.to - layers!.from}`);

describe('planPipeline', () => {
  it('does not split a model that one node holds, and takes the emptiest node', () => {
    const plan = planned(planPipeline(tinyLlama, nodes(3000, 8000, 3000), { stages: 0 }));
    expect(layerCounts(plan)).toEqual(['n1:22']);
    expect(plan).toMatchObject({ contextLength: 2048, maxSequences: 8 });
  });

  it('splits over the fewest nodes that hold it', () => {
    expect(planned(planPipeline(tinyLlama, nodes(700, 700, 700, 700), { stages: 0 })).stages).toHaveLength(2);
    expect(planned(planPipeline(tinyLlama, nodes(450, 450, 450, 450), { stages: 0 })).stages).toHaveLength(3);
  });

  it('uses exactly as many distinct nodes as told', () => {
    const plan = planned(planPipeline(tinyLlama, nodes(8000, 8000, 8000, 8000), { stages: 3 }));
    expect(new Set(plan.stages.map(({ nodeId }) => nodeId)).size).toBe(3);
  });

  it('gives nodes of unequal speed unequal shares', () => {
    const speeds = [3e-8, 6e-8, 1e-8].map((decodeMsPerByte) => ({ decodeMsPerByte, prefillMsPerByte: 1e-9 }));
    const unequal = nodes(8000, 8000, 8000).map((node, index) => ({ ...node, speed: speeds[index] }));
    const plan = planned(planPipeline(tinyLlama, unequal, { stages: 3 }));
    const layers = Object.fromEntries(plan.stages.map(({ nodeId, layers }) => [nodeId, layers!.to - layers!.from]));
    expect(layers.n2).toBeGreaterThan(layers.n0!);
    expect(layers.n0).toBeGreaterThan(layers.n1!);
  });

  it('counts the real bytes of each layer', () => {
    const lopsided = {
      ...tinyLlama,
      layerBytes: tinyLlama.layerBytes.map((bytes, layer) => (layer < 2 ? 10 * bytes : bytes)),
    };
    const plan = planned(planPipeline(lopsided, nodes(8000, 8000), { stages: 2 }));
    const [head, tail] = plan.stages.map(({ layers }) => workBytes(lopsided, layers!));
    expect(Math.abs(head! - tail!)).toBeLessThanOrEqual(33 * MB);
    expect(plan.stages[0]!.layers!.to).toBeLessThan(8);
  });

  it('leaves other pipelines what they use', () => {
    const busy = nodes(1500, 1500).map((node, index) => ({ ...node, usedBytes: index === 0 ? 1000 * MB : 0 }));
    expect(layerCounts(planned(planPipeline(tinyLlama, busy, { stages: 0 })))).toEqual(['n1:22']);
  });

  const longContext = { ...tinyLlama, contextLength: 131_072 };
  /** The whole model with this much context and as many sequences takes one node of so many megabytes. */
  const roomFor = (contextLength: number, maxSequences: number, less = 0) => {
    const { total } = stageMemory(longContext, { from: 0, to: 22 }, { contextLength, maxSequences });
    return (total - less) / MEMORY_HEADROOM / MB + 0.001;
  };
  const LITTLE = 0.1 * MB;

  it.each<[string, number[], number, number, number, number]>([
    ['one node: everything fits', [roomFor(4096, 8)], 0, 1, 4096, 8],
    ['one node: sequences shrink first', [roomFor(4096, 8, LITTLE)], 0, 1, 4096, 7],
    ['one node: to a single one', [roomFor(4096, 1)], 0, 1, 4096, 1],
    ['then the context, with all sequences that fit', [roomFor(4096, 1, LITTLE)], 0, 1, 2048, 2],
    ['one node with a sensible context wins over two', [roomFor(1024, 1), roomFor(1024, 1)], 0, 1, 1024, 1],
    ['one node wins over many', [roomFor(1024, 1), 400, 400, 400, 400], 0, 1, 1024, 1],
    ['the roomier of two', [roomFor(1024, 1), roomFor(2048, 2)], 0, 1, 2048, 2],
    ['two nodes when one had too little context', [roomFor(512, 1), roomFor(512, 1)], 0, 2, 4096, 4],
    ['less than sensible when there is nothing else', [roomFor(512, 1)], 0, 1, 512, 1],
    ['the smallest of all', [roomFor(256, 1)], 0, 1, 256, 1],
    ['as many nodes as told, each of which could hold it', [8000, 8000, 8000], 3, 3, 4096, 8],
    ['as many as told, in little room', [500, 500, 500], 3, 3, 2048, 2],
  ])('%s', (_case, sizes, stages, count, contextLength, maxSequences) => {
    const plan = planned(planPipeline(longContext, nodes(...sizes), { stages }));
    expect({ ...plan, stages: plan.stages.length }).toEqual({ stages: count, contextLength, maxSequences });
  });

  it('does not split a model for a longer context than it was trained for', () => {
    const plan = planned(planPipeline({ ...tinyLlama, contextLength: 512 }, nodes(8000, 8000), { stages: 0 }));
    expect(plan).toMatchObject({ stages: [{}], contextLength: 512, maxSequences: 8 });
  });

  it('P6: takes what was asked for exactly as a bound, and does not exceed memory for it', () => {
    const options = { stages: 0, contextLength: 2048, maxSequences: 8 };
    expect(reasonOf(planPipeline(tinyLlama, nodes(1100), options))).toContain('8 sequences of 2048 tokens');
    expect(planned(planPipeline(tinyLlama, nodes(8000), { stages: 0, contextLength: 1000 })).contextLength).toBe(1000);
  });

  it('keeps the context of a model that was trained for less than the smallest one', () => {
    const short = { ...tinyLlama, contextLength: 100 };
    expect(planned(planPipeline(short, nodes(8000), { stages: 0 })).contextLength).toBe(100);
  });

  it.each<[string, number[], PlanOptions, RegExp]>([
    ['no node', [], { stages: 0 }, /^no connected node has tinyllama$/],
    ['too few nodes', [8000, 8000], { stages: 3 }, /^3 stages need 3 nodes with tinyllama; 2 available \(n0, n1\)$/],
    ['more stages than layers', [8000], { stages: 23 }, /^23 stages cannot share the 22 layers of tinyllama$/],
    [
      'too little memory',
      [200, 300],
      { stages: 0 },
      /needs \d+\.\d MB .*; 2 nodes offer 425\.0 MB together and 255\.0 MB/,
    ],
  ])('says why there is no pipeline: %s', (_name, sizes, options, reason) => {
    expect(reasonOf(planPipeline(tinyLlama, nodes(...sizes), options))).toMatch(reason);
  });

  const arbitraryCluster = fc.record({
    sizes: fc.array(fc.integer({ min: 50, max: 3000 }), { minLength: 1, maxLength: 6 }),
    used: fc.array(fc.integer({ min: 0, max: 500 }), { minLength: 6, maxLength: 6 }),
    stages: fc.integer({ min: 0, max: 4 }),
    layers: fc.array(fc.integer({ min: 1, max: 90 }), { minLength: 1, maxLength: 24 }),
  });

  it('places every layer once and in order on distinct nodes, under the cap, and always alike', () => {
    fc.assert(
      fc.property(arbitraryCluster, ({ sizes, used, stages, layers }) => {
        const model = { ...tinyLlama, layers: layers.length, layerBytes: layers.map((size) => size * MB) };
        const candidates = nodes(...sizes).map((node, index) => ({ ...node, usedBytes: used[index]! * MB }));
        const plan = planPipeline(model, candidates, { stages });
        expect(planPipeline(model, [...candidates].reverse(), { stages })).toEqual(plan);
        if ('reason' in plan) return;
        if (stages > 0) expect(plan.stages).toHaveLength(stages);
        expect(new Set(plan.stages.map(({ nodeId }) => nodeId)).size).toBe(plan.stages.length);
        let next = 0;
        for (const stage of plan.stages) {
          expect(stage.layers!.from).toBe(next);
          expect(stage.layers!.to).toBeGreaterThan(next);
          next = stage.layers!.to;
          const node = candidates.find(({ nodeId }) => nodeId === stage.nodeId)!;
          expect(stage.memoryBytes).toBe(stageMemory(model, stage.layers!, plan).total);
          expect(node.usedBytes + stage.memoryBytes).toBeLessThanOrEqual(node.memoryBytes * MEMORY_HEADROOM);
        }
        expect(next).toBe(model.layers);
      }),
    );
  });
});
