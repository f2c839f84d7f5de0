import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
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

  it('gives unequal nodes unequal shares', () => {
    const plan = planned(planPipeline(tinyLlama, nodes(1000, 500, 4000), { stages: 3 }));
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
    const [head, tail] = plan.stages;
    const layer =
      stageMemory(tinyLlama, { from: 2, to: 4 }, plan).total - stageMemory(tinyLlama, { from: 2, to: 3 }, plan).total;
    expect(Math.abs(head!.memoryBytes - tail!.memoryBytes)).toBeLessThan(layer);
    expect(head!.layers!.to).toBeLessThan(8);
  });

  it('leaves other pipelines what they use', () => {
    const busy = nodes(1500, 1500).map((node, index) => ({ ...node, usedBytes: index === 0 ? 1000 * MB : 0 }));
    expect(layerCounts(planned(planPipeline(tinyLlama, busy, { stages: 0 })))).toEqual(['n1:22']);
  });

  it('shrinks sequences, then takes more nodes, then shrinks the context', () => {
    const all = stageMemory(tinyLlama, { from: 0, to: 22 }, { contextLength: 2048, maxSequences: 8 }).total;
    const exactly = (bytes: number) => bytes / MEMORY_HEADROOM / MB + 0.001;
    expect(planned(planPipeline(tinyLlama, nodes(exactly(all)), { stages: 0 })).maxSequences).toBe(8);
    expect(planned(planPipeline(tinyLlama, nodes(exactly(all - 1 * MB)), { stages: 0 }))).toMatchObject({
      contextLength: 2048,
      maxSequences: 7,
    });
    const weights = stageMemory(tinyLlama, { from: 0, to: 22 }, { contextLength: 2048, maxSequences: 8 }).weights;
    const tight = exactly(weights + 60 * MB);
    expect(planned(planPipeline(tinyLlama, nodes(tight), { stages: 0 }))).toMatchObject({ contextLength: 512 });
    expect(planned(planPipeline(tinyLlama, nodes(tight, tight), { stages: 0 }))).toMatchObject({
      contextLength: 2048,
      stages: [{}, {}],
    });
  });

  it('does not shrink what was asked for exactly', () => {
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
