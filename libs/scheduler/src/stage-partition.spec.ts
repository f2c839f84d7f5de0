import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { partitionStages, type Bin, type StageBytes } from './stage-partition';

const CAP = 0.85;

const bytesOf =
  (layerBytes: readonly number[]): StageBytes =>
  (from, to) =>
    10 + layerBytes.slice(from, to).reduce((sum, bytes) => sum + bytes, 0);

const bin = (id: string, memoryBytes: number, usedBytes = 0): Bin => ({ id, memoryBytes, usedBytes });

const fullness = (layout: ReturnType<typeof partitionStages>, bytes: StageBytes): number =>
  Math.max(...layout!.map(({ bin, layers }) => (bin.usedBytes + bytes(layers.from, layers.to)) / bin.memoryBytes));

/** The least possible utilisation of the fullest bin, by trying every layout. */
function leastFullness(from: number, layers: number, bytes: StageBytes, bins: readonly Bin[], count: number): number {
  if (count === 0) return from === layers ? 0 : Infinity;
  let best = Infinity;
  for (const chosen of bins) {
    for (let to = from + 1; to <= layers; to++) {
      const used = (chosen.usedBytes + bytes(from, to)) / chosen.memoryBytes;
      if (used > CAP) continue;
      const others = bins.filter((other) => other !== chosen);
      best = Math.min(best, Math.max(used, leastFullness(to, layers, bytes, others, count - 1)));
    }
  }
  return best;
}

const arbitraryBins = fc
  .uniqueArray(
    fc.record({ memoryBytes: fc.integer({ min: 50, max: 600 }), usedBytes: fc.integer({ min: 0, max: 60 }) }),
    {
      minLength: 1,
      maxLength: 5,
    },
  )
  .map((bins) => bins.map((each, index) => ({ id: `n${index}`, ...each })));
const arbitraryLayers = fc.array(fc.integer({ min: 1, max: 120 }), { minLength: 1, maxLength: 7 });

describe('partitionStages', () => {
  it('finds the layout whose fullest bin is emptiest, as trying every layout does', () => {
    fc.assert(
      fc.property(arbitraryBins, arbitraryLayers, fc.integer({ min: 1, max: 4 }), (bins, layerBytes, count) => {
        const bytes = bytesOf(layerBytes);
        const expected = leastFullness(0, layerBytes.length, bytes, bins, count);
        const layout = partitionStages(layerBytes.length, bytes, bins, count, CAP);
        if (expected === Infinity) expect(layout).toBeUndefined();
        else expect(fullness(layout, bytes)).toBeCloseTo(expected, 9);
      }),
      { numRuns: 300 },
    );
  });

  it('gives the same layout whatever the order of the bins', () => {
    const shuffled = arbitraryBins.chain((bins) =>
      fc.tuple(fc.constant(bins), fc.shuffledSubarray(bins, { minLength: bins.length, maxLength: bins.length })),
    );
    fc.assert(
      fc.property(shuffled, arbitraryLayers, ([bins, reordered], layerBytes) => {
        const count = Math.min(bins.length, layerBytes.length);
        const run = (order: readonly Bin[]) =>
          partitionStages(layerBytes.length, bytesOf(layerBytes), order, count, CAP);
        expect(run(reordered)).toEqual(run(bins));
      }),
    );
  });

  it('spreads layers evenly where the fullest bin leaves a choice', () => {
    const bytes: StageBytes = (from, to) => (from === 0 ? 500 : 0) + (to - from) * 10;
    const layout = partitionStages(7, bytes, [bin('a', 1000), bin('b', 1000), bin('c', 1000)], 3, CAP);
    expect(layout?.map(({ bin, layers }) => [bin.id, layers.to - layers.from])).toEqual([
      ['a', 1],
      ['b', 3],
      ['c', 3],
    ]);
  });

  it('still places every layer when there are too many unlike bins to try all orders', () => {
    const bins = Array.from({ length: 14 }, (_, index) => bin(`n${String(index).padStart(2, '0')}`, 1000 + index));
    const layout = partitionStages(40, bytesOf(Array<number>(40).fill(20)), bins, 14, CAP)!;
    expect(new Set(layout.map(({ bin }) => bin.id)).size).toBe(14);
    expect(layout[0]?.layers.from).toBe(0);
    expect(layout.at(-1)?.layers.to).toBe(40);
    for (const [index, stage] of layout.entries()) {
      expect(stage.layers.to).toBeGreaterThan(stage.layers.from);
      expect(stage.layers.from).toBe(index === 0 ? 0 : layout[index - 1]!.layers.to);
    }
  });

  it.each([
    ['more stages than bins', 3, [bin('a', 1000)], 2],
    ['more stages than layers', 1, [bin('a', 1000), bin('b', 1000)], 2],
    ['no stage', 3, [bin('a', 1000)], 0],
    ['a layer that fits nowhere', 2, [bin('a', 40), bin('b', 40)], 2],
  ])('has no layout for %s', (_name, layers, bins, count) => {
    expect(partitionStages(layers, bytesOf([30, 30, 30]), bins, count, CAP)).toBeUndefined();
  });
});
