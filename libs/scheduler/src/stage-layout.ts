import { placedLayers, stageEnds } from './stage-ends';
import type { StageGraph } from './stage-graph';

export interface LayoutProblem {
  readonly layers: number;
  /** Stages, each on a node of its own. */
  readonly count: number;
  /** Time of the layers [from, to) on a node. Grows with the range; Infinity when they do not fit. */
  readonly stageMs: (node: number, from: number, to: number) => number;
  /** What speaks against these layers on that node besides their time, in milliseconds per token. */
  readonly reluctance: (node: number, from: number, to: number) => number;
  readonly hopMs: (node: number, next: number) => number;
  /** All layers on the fastest node, if they fitted there. */
  readonly leastMs: number;
}

export interface LaidStage {
  readonly node: number;
  readonly from: number;
  readonly to: number;
}

export interface Layout {
  readonly stages: readonly LaidStage[];
  readonly cost: number;
}

/**
 * What is minimised: the time per token of one sequence, plus that of each of `count` sequences which keep every stage
 * busy. So fast nodes and near neighbours count, and so does the slowest stage.
 */
export function layoutCost(stages: readonly LaidStage[], problem: LayoutProblem): number {
  const { latency, slowest } = timesOf(stages, problem);
  return latency + stages.length * slowest;
}

/**
 * The best layout along the paths of the graph; undefined when nothing fits.
 * @param step by which the slowest stage must get faster for another look; next to 0: none is missed
 */
export function bestLayout(graph: StageGraph, problem: LayoutProblem, step: number): Layout | undefined {
  const table = pathTable(graph.length, problem.layers);
  let best: Layout | undefined;
  // The shortest path under a bound on its slowest stage, for ever lower bounds.
  for (let limit = Infinity; ;) {
    const stages = shortestPath(graph, problem, limit, table);
    if (!stages) return best;
    const { latency, slowest } = timesOf(stages, problem);
    const cost = latency + problem.count * slowest;
    if (!best || cost < best.cost) best = { stages, cost };
    // The next ones have no shorter latency, and a slowest stage takes at least its share of the computing.
    if (latency + problem.leastMs >= best.cost) return best;
    limit = slowest * (1 - step);
  }
}

/** By state and layers placed. */
interface PathTable {
  readonly cost: Float64Array;
  /** Only where there is a cost. */
  readonly cameFrom: Int32Array;
  readonly began: Int32Array;
}

function pathTable(states: number, layers: number): PathTable {
  const cells = states * (layers + 1);
  return { cost: new Float64Array(cells), cameFrom: new Int32Array(cells), began: new Int32Array(cells) };
}

/** Dynamic programming over (state, layers placed), in a table that it clears. */
function shortestPath(
  graph: StageGraph,
  problem: LayoutProblem,
  limit: number,
  { cost, cameFrom, began }: PathTable,
): LaidStage[] | undefined {
  const { layers, count, stageMs, reluctance, hopMs } = problem;
  const ends = endsUnder(graph, problem, limit);
  const { fewest, most } = placedLayers([...ends.values()], layers, count);
  const width = layers + 1;
  cost.fill(Infinity);
  const arrival = new Float64Array(width);
  const arrivedFrom = new Int32Array(width);
  let end = -1;

  for (const [index, { node, used, before }] of graph.entries()) {
    const first = fewest[used - 1]!;
    const last = most[used - 1]!;
    arrival.fill(Infinity);
    arrivedFrom.fill(-1);
    if (used === 1) arrival[0] = 0;
    for (const previous of before) {
      const hop = hopMs(graph[previous]!.node, node);
      for (let from = first; from <= last; from++) {
        const total = cost[previous * width + from]! + hop;
        if (total >= arrival[from]!) continue;
        arrival[from] = total;
        arrivedFrom[from] = previous;
      }
    }
    const nodeEnds = ends.get(node)!;
    for (let from = first; from <= last; from++) {
      if (arrival[from] === Infinity) continue;
      const until = Math.min(nodeEnds[from]!, most[used]!);
      for (let to = Math.max(from + 1, fewest[used]!); to <= until; to++) {
        const total = arrival[from]! + stageMs(node, from, to) + reluctance(node, from, to);
        const cell = index * width + to;
        if (total >= cost[cell]!) continue;
        cost[cell] = total;
        cameFrom[cell] = arrivedFrom[from]!;
        began[cell] = from;
      }
    }
    const total = cost[index * width + layers]!;
    if (used === count && total < (end < 0 ? Infinity : cost[end * width + layers]!)) end = index;
  }

  const stages: LaidStage[] = [];
  for (let state = end, to = layers; state >= 0;) {
    const cell = state * width + to;
    const from = began[cell]!;
    stages.unshift({ node: graph[state]!.node, from, to });
    state = cameFrom[cell]!;
    to = from;
  }
  return stages.length > 0 ? stages : undefined;
}

/** For each node of the graph, how far a stage goes within the limit. */
function endsUnder(
  graph: StageGraph,
  { layers, stageMs }: LayoutProblem,
  limit: number,
): ReadonlyMap<number, Int32Array> {
  const nodes = new Set(graph.map(({ node }) => node));
  const fits = (node: number) => (from: number, to: number) => {
    const time = stageMs(node, from, to);
    return time <= limit && time < Infinity;
  };
  return new Map([...nodes].map((node) => [node, stageEnds(layers, fits(node))]));
}

function timesOf(
  stages: readonly LaidStage[],
  { stageMs, reluctance, hopMs }: LayoutProblem,
): { latency: number; slowest: number } {
  let latency = 0;
  let slowest = 0;
  for (const [index, { node, from, to }] of stages.entries()) {
    const time = stageMs(node, from, to);
    const next = stages[index + 1];
    latency += time + reluctance(node, from, to) + (next ? hopMs(node, next.node) : 0);
    slowest = Math.max(slowest, time);
  }
  return { latency, slowest };
}
