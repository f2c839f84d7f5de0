import type { LayerRange } from '@pangalactic/contracts';

/** A node as the partitioner sees it. */
export interface Bin {
  readonly id: string;
  readonly memoryBytes: number;
  /** Taken by other pipelines. */
  readonly usedBytes: number;
}

export interface PlacedStage<B extends Bin> {
  readonly bin: B;
  readonly layers: LayerRange;
}

/** Bytes of a stage that holds the layers [from, to); must not shrink when the range grows. */
export type StageBytes = (from: number, to: number) => number;

/** Above this many arrangements of unlike bins the search keeps the bins in order of capacity instead. */
const MAX_ARRANGEMENTS = 512;

/**
 * Cuts the layers into `count` contiguous ranges on distinct bins such that the fullest bin is as empty as possible
 * and, among those layouts, the memory is spread most evenly. undefined: no layout stays under `cap` (a share of each
 * bin's memory). Exact up to MAX_ARRANGEMENTS. Equal inputs give equal layouts: ties go to the smaller bin id.
 */
export function partitionStages<B extends Bin>(
  layers: number,
  stageBytes: StageBytes,
  bins: readonly B[],
  count: number,
  cap: number,
): PlacedStage<B>[] | undefined {
  if (count < 1 || count > layers || count > bins.length) return undefined;
  let chosen: readonly B[] = [];
  let fullest: number | undefined;
  // At any utilisation the `count` bins with the most room are as good as any other choice: a bin can always be replaced
  // by a roomier one. So if those just below the best utilisation cannot beat it, no choice of bins can.
  for (let limit = cap; ; limit = fullest * (1 - 1e-12)) {
    const roomiest = roomiestBins(bins, count, limit);
    const layout = arrange(layers, stageBytes, roomiest, limit, Math.max);
    if (layout === undefined) break;
    chosen = roomiest;
    fullest = Math.max(...layout.map((stage) => utilisation(stage.bin, stageBytes, stage.layers)));
  }
  if (fullest === undefined) return undefined;
  return arrange(layers, stageBytes, chosen, fullest, (sum, used) => sum + used * used);
}

/** Whether these bins, all of them, can share the layers under `cap`. Exact as partitionStages is. */
export function canShare(layers: number, stageBytes: StageBytes, bins: readonly Bin[], cap: number): boolean {
  return arrange(layers, stageBytes, bins, cap, Math.max) !== undefined;
}

function utilisation(bin: Bin, stageBytes: StageBytes, layers: LayerRange): number {
  return (bin.usedBytes + stageBytes(layers.from, layers.to)) / bin.memoryBytes;
}

/** Those with the most room under `limit`: if they cannot share the layers, no other choice of as many can. */
export function roomiestBins<B extends Bin>(bins: readonly B[], count: number, limit: number): B[] {
  const room = (bin: Bin) => limit * bin.memoryBytes - bin.usedBytes;
  return [...bins].sort((a, b) => room(b) - room(a) || compareIds(a, b)).slice(0, count);
}

export function compareIds(a: { readonly id: string }, b: { readonly id: string }): number {
  return a.id < b.id ? -1 : a.id > b.id ? 1 : 0;
}

/** Bins that the search need not tell apart, in order of id. */
interface BinKind<B extends Bin> {
  readonly bins: B[];
  /** Weight of this kind's digit in the state number. */
  stride: number;
}

function kindsOf<B extends Bin>(bins: readonly B[]): { kinds: BinKind<B>[]; states: number } {
  const byRoom = new Map<string, BinKind<B>>();
  for (const bin of bins) {
    const key = `${bin.memoryBytes}/${bin.usedBytes}`;
    const kind = byRoom.get(key);
    if (kind) kind.bins.push(bin);
    else byRoom.set(key, { bins: [bin], stride: 0 });
  }
  const kinds = [...byRoom.values()];
  let states = 1;
  for (const kind of kinds) {
    kind.bins.sort(compareIds);
    kind.stride = states;
    states *= kind.bins.length + 1;
  }
  return { kinds, states };
}

/**
 * Dynamic programming over (how many bins of each kind are used, how many layers they hold). The state number is a mixed
 * radix number, so adding a bin always leads to a higher state. Every bin is used. `combine` folds the utilisations,
 * none of which may exceed `limit`, into the cost to minimise.
 */
function arrange<B extends Bin>(
  layers: number,
  stageBytes: StageBytes,
  bins: readonly B[],
  limit: number,
  combine: (cost: number, utilisation: number) => number,
): PlacedStage<B>[] | undefined {
  const { kinds, states } = kindsOf(bins);
  const inOrder = states > MAX_ARRANGEMENTS;
  const stateCount = inOrder ? bins.length + 1 : states;
  const width = layers + 1;
  const cost = new Float64Array(stateCount * width).fill(Infinity);
  const previousState = new Int32Array(stateCount * width);
  const previousLayer = new Int32Array(stateCount * width);
  cost[0] = 0;

  const usedOf = (state: number, kind: BinKind<B>) => Math.floor(state / kind.stride) % (kind.bins.length + 1);
  const choices = (state: number): { bin: B; next: number }[] => {
    if (inOrder) return bins.slice(state, state + 1).map((bin) => ({ bin, next: state + 1 }));
    return kinds.flatMap((kind) => {
      const bin = kind.bins[usedOf(state, kind)];
      return bin ? [{ bin, next: state + kind.stride }] : [];
    });
  };
  const placed = (state: number) => (inOrder ? state : kinds.reduce((sum, kind) => sum + usedOf(state, kind), 0));

  for (let state = 0; state < stateCount - 1; state++) {
    const binsLeft = bins.length - placed(state) - 1;
    for (const { bin, next } of choices(state)) {
      const { usedBytes, memoryBytes } = bin;
      for (let from = 0; from < layers; from++) {
        const costSoFar = cost[state * width + from]!;
        if (costSoFar === Infinity) continue;
        // The last bin takes what is left; the others leave a layer for each bin after them.
        for (let to = binsLeft === 0 ? layers : from + 1; to <= layers - binsLeft; to++) {
          const used = (usedBytes + stageBytes(from, to)) / memoryBytes;
          if (used > limit) break;
          const index = next * width + to;
          const total = combine(costSoFar, used);
          if (total >= cost[index]!) continue;
          cost[index] = total;
          previousState[index] = state;
          previousLayer[index] = from;
        }
      }
    }
  }

  const stages: PlacedStage<B>[] = [];
  let state = stateCount - 1;
  let to = layers;
  if (cost[state * width + to] === Infinity) return undefined;
  while (state > 0) {
    const index = state * width + to;
    const before = previousState[index]!;
    const bin = choices(before).find((choice) => choice.next === state)!.bin;
    const from = previousLayer[index]!;
    stages.unshift({ bin, layers: { from, to } });
    state = before;
    to = from;
  }
  return stages;
}
