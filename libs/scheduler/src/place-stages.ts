import type { LayerRange, ModelInfo } from '@pangalactic/contracts';
import {
  ASSUMED_LINK,
  hopMs,
  loadMsPerToken,
  typicalSpeed,
  workBytes,
  type EngineSpeed,
  type LinkBetween,
} from './cost-model';
import { MEMORY_HEADROOM } from './memory-ledger';
import { allOrders, inOrder, type StageGraph } from './stage-graph';
import { bestLayout, layoutCost, type LaidStage, type Layout, type LayoutProblem } from './stage-layout';
import {
  compareIds,
  partitionStages,
  roomiestBins,
  type Bin,
  type PlacedStage,
  type StageBytes,
} from './stage-partition';

/** A bin with what is known of its speed. */
export interface Machine extends Bin {
  /** undefined: not measured, taken for a typical one. */
  readonly speed?: EngineSpeed | undefined;
  /** Stages of other pipelines that compute on the same cores. */
  readonly otherStages?: number | undefined;
  /** Layers of this model that it has loaded before, so that they need not be packed again. */
  readonly cached?: LayerRange | undefined;
  /** It may be neither head nor tail. */
  readonly inner?: boolean | undefined;
}

/** Up to so many nodes every order is tried. */
const ALL_ORDERS = 8;
/** Nodes beyond the stages that are looked at when there are too many to try every order. */
const SPARE_NODES = 10;
/** See bestLayout: where the orders are a choice anyway, a fiftieth of the slowest stage's time is not worth a look. */
const ROUGH_STEP = 0.02;
const EXACT_STEP = 1e-9;
/** Decides between layouts that take the same time: the share of the time by which a full node counts as slower. */
const TIE_BREAK = 1e-6;

/**
 * The cheapest layout (stage-layout.ts) that was found: exact for up to 8 machines, else along orders by promise, by
 * room and from neighbour to neighbour. Never worse than the split by memory, which needs no measurement at all.
 */
export function placeStages<M extends Machine>(
  model: ModelInfo,
  stageBytes: StageBytes,
  machines: readonly M[],
  count: number,
  linkBetween: LinkBetween,
): PlacedStage<M>[] | undefined {
  const typical = typicalSpeed(machines.map(({ speed }) => speed));
  const shortlist = shortlisted(model, machines, typical, count, linkBetween);
  const problem = layoutProblem(model, stageBytes, shortlist, typical, count, linkBetween);
  const step = shortlist.length <= ALL_ORDERS ? EXACT_STEP : ROUGH_STEP;
  const layouts = graphsOf(shortlist, count, problem).map((graph) => bestLayout(graph, problem, step));
  layouts.push(neighbourly(cheapest(layouts), problem), splitByMemory(model, stageBytes, shortlist, count, problem));
  return cheapest(layouts)?.stages.map(({ node, from, to }) => ({ bin: shortlist[node]!, layers: { from, to } }));
}

/** How fast the machine is while whatever else runs on it computes too. */
export function machineSpeed(
  { speed, otherStages = 0 }: Pick<Machine, 'speed' | 'otherStages'>,
  typical: EngineSpeed,
): EngineSpeed {
  const { decodeMsPerByte, prefillMsPerByte } = speed ?? typical;
  const sharers = 1 + otherStages;
  return { decodeMsPerByte: decodeMsPerByte * sharers, prefillMsPerByte: prefillMsPerByte * sharers };
}

function cheapest(layouts: readonly (Layout | undefined)[]): Layout | undefined {
  return layouts.reduce((best, layout) => (layout && (!best || layout.cost < best.cost) ? layout : best), undefined);
}

/** The roomiest machines, which can hold the model if any can, and the most promising ones; in order of promise. */
function shortlisted<M extends Machine>(
  model: ModelInfo,
  machines: readonly M[],
  typical: EngineSpeed,
  count: number,
  linkBetween: LinkBetween,
): M[] {
  const share = workBytes(model, { from: 0, to: model.layers }) / count;
  const fairBytes = sumOf(model.layerBytes) / count;
  const promise = new Map(
    machines.map((machine) => {
      const room = MEMORY_HEADROOM * machine.memoryBytes - machine.usedBytes;
      const crowding = Math.max(1, fairBytes / Math.max(room, 1));
      return [machine, machineSpeed(machine, typical).decodeMsPerByte * share * crowding];
    }),
  );
  const byPromise = [...machines].sort(
    (a, b) =>
      promise.get(a)! - promise.get(b)! ||
      Number(b.cached !== undefined) - Number(a.cached !== undefined) ||
      a.usedBytes / a.memoryBytes - b.usedBytes / b.memoryBytes ||
      b.memoryBytes - a.memoryBytes ||
      compareIds(a, b),
  );
  const size = Math.max(ALL_ORDERS, count + SPARE_NODES);
  if (machines.length <= size) return byPromise;
  const chosen = new Set(roomiestBins(machines, count, MEMORY_HEADROOM));
  for (const machine of nearest(model, byPromise, count, linkBetween)) if (chosen.size < size) chosen.add(machine);
  for (const machine of byPromise) if (chosen.size < size) chosen.add(machine);
  return byPromise.filter((machine) => chosen.has(machine));
}

/** From the most promising machine to its nearest neighbours, as far as links to it are known. */
function nearest<M extends Machine>(
  model: ModelInfo,
  byPromise: readonly M[],
  count: number,
  linkBetween: LinkBetween,
): M[] {
  const [first] = byPromise;
  if (!first) return [];
  const assumed = hopMs(model, ASSUMED_LINK);
  const near = byPromise
    .map((machine) => ({ machine, hop: hopMs(model, linkBetween(first.id, machine.id)) }))
    .filter(({ machine, hop }) => machine === first || hop < assumed);
  return near
    .sort((a, b) => a.hop - b.hop)
    .slice(0, count)
    .map(({ machine }) => machine);
}

function layoutProblem(
  model: ModelInfo,
  stageBytes: StageBytes,
  machines: readonly Machine[],
  typical: EngineSpeed,
  count: number,
  linkBetween: LinkBetween,
): LayoutProblem {
  const { layers } = model;
  const rates = machines.map((machine) => machineSpeed(machine, typical).decodeMsPerByte);
  const workBefore = runningSum(model.layerBytes);
  const work = (from: number, to: number) =>
    workBefore[to]! - workBefore[from]! + (to === layers ? model.outputBytes : 0);
  const leastMs = Math.min(...rates) * work(0, layers);
  const missingBefore = machines.map(({ cached }) =>
    runningSum(
      model.layerBytes.map((bytes, layer) => (cached && layer >= cached.from && layer < cached.to ? 0 : bytes)),
    ),
  );
  const hops = machines.map((a) => machines.map((b) => (a === b ? 0 : hopMs(model, linkBetween(a.id, b.id)))));
  const stageMs = (node: number, from: number, to: number): number => {
    const { memoryBytes, usedBytes, inner } = machines[node]!;
    if (inner && (from === 0 || to === layers)) return Infinity;
    if (usedBytes + stageBytes(from, to) > MEMORY_HEADROOM * memoryBytes) return Infinity;
    return rates[node]! * work(from, to);
  };
  const reluctance = (node: number, from: number, to: number): number => {
    const { memoryBytes, usedBytes } = machines[node]!;
    const fullness = (usedBytes + stageBytes(from, to)) / memoryBytes;
    const time = (rates[node]! * work(from, to)) / leastMs;
    const loading = loadMsPerToken(missingBefore[node]![to]! - missingBefore[node]![from]!);
    return loading + TIE_BREAK * leastMs * (fullness * fullness + time * time);
  };
  return { layers, count, stageMs, reluctance, hopMs: (node, next) => hops[node]![next]!, leastMs };
}

function graphsOf(machines: readonly Machine[], count: number, problem: LayoutProblem): StageGraph[] {
  const promise = machines.map((_, index) => index);
  if (machines.length <= ALL_ORDERS) return [allOrders(machines.length, count)];
  const indexOf = new Map(machines.map((machine, index) => [machine, index]));
  const byRoom = roomiestBins(machines, machines.length, MEMORY_HEADROOM).map((machine) => indexOf.get(machine)!);
  const orders = [promise, byRoom, chain(promise, problem)];
  const distinct = new Map(orders.map((order) => [order.join(), order]));
  return [...distinct.values()].map((order) => inOrder(order, count));
}

/** From the most promising machine always on to the nearest one. */
function chain(promise: readonly number[], { hopMs }: LayoutProblem): number[] {
  const left = [...promise];
  const order = left.splice(0, 1);
  while (left.length > 0) {
    const last = order.at(-1)!;
    const next = left.reduce((best, node) => (hopMs(last, node) < hopMs(last, best) ? node : best));
    order.push(next);
    left.splice(left.indexOf(next), 1);
  }
  return order;
}

/** The same machines in an order with shorter hops, found by reversing parts of it (2-opt). */
function neighbourly(layout: Layout | undefined, problem: LayoutProblem): Layout | undefined {
  if (!layout) return undefined;
  const order = layout.stages.map(({ node }) => node);
  let changed = false;
  for (let improved = true, shortest = hopsOf(order, problem); improved;) {
    improved = false;
    for (let from = 0; from < order.length - 1; from++) {
      for (let to = from + 2; to <= order.length; to++) {
        reverse(order, from, to);
        const now = hopsOf(order, problem);
        if (now < shortest * (1 - 1e-9)) {
          shortest = now;
          improved = changed = true;
        } else reverse(order, from, to);
      }
    }
  }
  return changed ? bestLayout(inOrder(order, problem.count), problem, EXACT_STEP) : undefined;
}

function hopsOf(order: readonly number[], { hopMs }: LayoutProblem): number {
  let sum = 0;
  for (let index = 1; index < order.length; index++) sum += hopMs(order[index - 1]!, order[index]!);
  return sum;
}

/** The part from `from` up to `to`, in place. */
function reverse(order: number[], from: number, to: number): void {
  for (let left = from, right = to - 1; left < right; left++, right--) {
    [order[left], order[right]] = [order[right]!, order[left]!];
  }
}

function splitByMemory(
  model: ModelInfo,
  stageBytes: StageBytes,
  machines: readonly Machine[],
  count: number,
  problem: LayoutProblem,
): Layout | undefined {
  const split = partitionStages(model.layers, stageBytes, machines, count, MEMORY_HEADROOM);
  if (!split) return undefined;
  const stages = split.map(({ bin, layers: { from, to } }): LaidStage => ({ node: machines.indexOf(bin), from, to }));
  const cost = layoutCost(stages, problem);
  return cost < Infinity ? { stages, cost } : undefined;
}

/** [0, a, a + b, ...] */
function runningSum(values: readonly number[]): Float64Array {
  const sums = new Float64Array(values.length + 1);
  values.forEach((value, index) => (sums[index + 1] = sums[index]! + value));
  return sums;
}

function sumOf(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
