import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { allOrders, inOrder } from './stage-graph';
import { bestLayout, layoutCost, type LaidStage, type LayoutProblem } from './stage-layout';

interface Drawn {
  readonly layers: number;
  readonly count: number;
  /** Of each node: per layer, and the most layers it takes. */
  readonly nodes: readonly { readonly speed: number; readonly capacity: number }[];
  readonly hops: readonly (readonly number[])[];
}

const problemOf = ({ layers, count, nodes, hops }: Drawn): LayoutProblem => ({
  ...{ layers, count },
  stageMs: (node, from, to) => (to - from > nodes[node]!.capacity ? Infinity : nodes[node]!.speed * (to - from)),
  reluctance: () => 0,
  hopMs: (node, next) => hops[node]![next]!,
  leastMs: Math.min(...nodes.map(({ speed }) => speed)) * layers,
});

const arbitrary = fc.record({
  layers: fc.integer({ min: 1, max: 7 }),
  count: fc.integer({ min: 1, max: 4 }),
  nodes: fc.array(fc.record({ speed: fc.integer({ min: 1, max: 9 }), capacity: fc.integer({ min: 0, max: 7 }) }), {
    minLength: 1,
    maxLength: 4,
  }),
  hops: fc.array(fc.array(fc.integer({ min: 0, max: 20 }), { minLength: 4, maxLength: 4 }), {
    minLength: 4,
    maxLength: 4,
  }),
});

/** Every layout that fits, tried one by one. */
function leastCost(drawn: Drawn, inGivenOrder: boolean): number {
  const problem = problemOf(drawn);
  const extend = (stages: LaidStage[]): number => {
    const from = stages.at(-1)?.to ?? 0;
    if (stages.length === drawn.count) return from === drawn.layers ? layoutCost(stages, problem) : Infinity;
    let least = Infinity;
    for (let node = 0; node < drawn.nodes.length; node++) {
      if (stages.some((stage) => (inGivenOrder ? stage.node >= node : stage.node === node))) continue;
      for (let to = from + 1; to <= drawn.layers; to++) {
        if (problem.stageMs(node, from, to) < Infinity)
          least = Math.min(least, extend([...stages, { node, from, to }]));
      }
    }
    return least;
  };
  return extend([]);
}

describe('bestLayout', () => {
  it.each([
    ['all orders', false, (drawn: Drawn) => allOrders(drawn.nodes.length, drawn.count)],
    [
      'one order, of which nodes may be left out',
      true,
      (drawn: Drawn) =>
        inOrder(
          drawn.nodes.map((_, index) => index),
          drawn.count,
        ),
    ],
  ])('finds what trying every layout finds: %s', (_name, inGivenOrder, graphOf) => {
    fc.assert(
      fc.property(arbitrary, (drawn) => {
        const problem = problemOf(drawn);
        const layout = bestLayout(graphOf(drawn), problem, 1e-9);
        const expected = leastCost(drawn, inGivenOrder);
        if (layout === undefined) expect(expected).toBe(Infinity);
        else {
          expect(layout.cost).toBeCloseTo(expected, 9);
          expect(layoutCost(layout.stages, problem)).toBe(layout.cost);
          expect(layout.stages).toHaveLength(drawn.count);
        }
      }),
      { numRuns: 500 },
    );
  });
});
