import type { LayerRange } from '@pangalactic/contracts';
import { placedLayers, stageEnds } from './stage-ends';

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
  const { kinds, stateCount, steps } = arrangements(bins);
  const endsOf = new Map(kinds.map((kind) => [kind, endsUnder(layers, stageBytes, kind, cap)]));
  const width = layers + 1;
  /** By state and layers placed. */
  const reached = new Uint8Array(stateCount * width);
  reached[0] = 1;
  for (let state = 0; state < stateCount - 1; state++) {
    for (const { kind, next, binsLeft } of steps(state)) {
      const ends = endsOf.get(kind)!;
      // Ends never fall, so each cell is marked once.
      for (let from = 0, marked = 0; from < layers; from++) {
        if (reached[state * width + from] === 0) continue;
        const most = Math.min(ends[from]!, layers - binsLeft);
        marked = Math.max(marked, binsLeft === 0 ? layers - 1 : from);
        while (marked < most) reached[next * width + ++marked] = 1;
      }
    }
  }
  return reached[stateCount * width - 1] === 1;
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
  /** Weight of this kind's digit in the number of a state. */
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

/** A bin that may be used next. */
interface Step<B extends Bin> {
  readonly bin: B;
  readonly kind: BinKind<B>;
  /** The state in which it is used too. */
  readonly next: number;
  readonly binsLeft: number;
}

interface Arrangements<B extends Bin> {
  readonly kinds: readonly BinKind<B>[];
  /** In state 0 no bin is used, in the last one all are. */
  readonly stateCount: number;
  /** Each leads to a higher state. */
  readonly steps: (state: number) => readonly Step<B>[];
}

/**
 * Every order of the bins, as states that tell how many of each kind are used (a mixed radix number); when those are too
 * many, only the given order.
 */
function arrangements<B extends Bin>(bins: readonly B[]): Arrangements<B> {
  const { kinds, states } = kindsOf(bins);
  if (states > MAX_ARRANGEMENTS) {
    const kindOf = new Map(kinds.flatMap((kind) => kind.bins.map((bin) => [bin, kind] as const)));
    const inOrder = bins.map((bin, index) => {
      return [{ bin, kind: kindOf.get(bin)!, next: index + 1, binsLeft: bins.length - index - 1 }];
    });
    return { kinds, stateCount: bins.length + 1, steps: (state) => inOrder[state]! };
  }
  const usedOf = (state: number, kind: BinKind<B>) => Math.floor(state / kind.stride) % (kind.bins.length + 1);
  const steps = (state: number): Step<B>[] => {
    const used = kinds.reduce((sum, kind) => sum + usedOf(state, kind), 0);
    return kinds.flatMap((kind) => {
      const bin = kind.bins[usedOf(state, kind)];
      return bin ? [{ bin, kind, next: state + kind.stride, binsLeft: bins.length - used - 1 }] : [];
    });
  };
  return { kinds, stateCount: states, steps };
}

function endsUnder(layers: number, stageBytes: StageBytes, { bins }: BinKind<Bin>, limit: number): Int32Array {
  return stageEnds(layers, (from, to) => utilisation(bins[0]!, stageBytes, { from, to }) <= limit);
}

/**
 * Dynamic programming over (bins used, layers that they hold). Every bin is used. `combine` folds the utilisations, none
 * of which may exceed `limit`, into the cost to minimise.
 */
function arrange<B extends Bin>(
  layers: number,
  stageBytes: StageBytes,
  bins: readonly B[],
  limit: number,
  combine: (cost: number, utilisation: number) => number,
): PlacedStage<B>[] | undefined {
  const { kinds, stateCount, steps } = arrangements(bins);
  const endsOf = new Map(kinds.map((kind) => [kind, endsUnder(layers, stageBytes, kind, limit)]));
  const endsOfAll = kinds.flatMap((kind) => kind.bins.map(() => endsOf.get(kind)!));
  const { fewest, most } = placedLayers(endsOfAll, layers, bins.length);
  const width = layers + 1;
  const cost = new Float64Array(stateCount * width).fill(Infinity);
  const previousState = new Int32Array(stateCount * width);
  const previousLayer = new Int32Array(stateCount * width);
  cost[0] = 0;

  for (let state = 0; state < stateCount - 1; state++) {
    for (const { bin, kind, next, binsLeft } of steps(state)) {
      const { usedBytes, memoryBytes } = bin;
      const ends = endsOf.get(kind)!;
      const used = bins.length - binsLeft;
      for (let from = fewest[used - 1]!; from <= most[used - 1]!; from++) {
        const costSoFar = cost[state * width + from]!;
        if (costSoFar === Infinity) continue;
        const until = Math.min(ends[from]!, most[used]!);
        for (let to = Math.max(from + 1, fewest[used]!); to <= until; to++) {
          const index = next * width + to;
          const total = combine(costSoFar, (usedBytes + stageBytes(from, to)) / memoryBytes);
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
    const { bin } = steps(before).find(({ next }) => next === state)!;
    const from = previousLayer[index]!;
    stages.unshift({ bin, layers: { from, to } });
    state = before;
    to = from;
  }
  return stages;
}
