/** A node as the last one of the stages placed so far. */
export interface StageState {
  /** Index of the node. */
  readonly node: number;
  /** Stages placed, this one included. */
  readonly used: number;
  /** Indices of the states that may come before; none for a first stage. */
  readonly before: readonly number[];
}

/** States in an order in which each comes after those before it. */
export type StageGraph = readonly StageState[];

/** Every order of every choice of up to `count` nodes: 2^nodes x nodes states, so only for few nodes. */
export function allOrders(nodes: number, count: number): StageGraph {
  const graph: StageState[] = [];
  const indexOf = new Map<number, number>();
  for (let set = 1; set < 1 << nodes; set++) {
    // Descending: of equal layouts the first found counts, which so has its nodes in ascending order.
    const members = Array.from({ length: nodes }, (_, index) => nodes - 1 - index).filter((node) => set & (1 << node));
    if (members.length > count) continue;
    for (const node of members) {
      const rest = set & ~(1 << node);
      const before = members.filter((other) => other !== node).map((other) => indexOf.get(rest * nodes + other)!);
      indexOf.set(set * nodes + node, graph.length);
      graph.push({ node, used: members.length, before });
    }
  }
  return graph;
}

/** Every choice of up to `count` nodes, in the given order. */
export function inOrder(order: readonly number[], count: number): StageGraph {
  const graph: StageState[] = [];
  for (let used = 1; used <= count; used++) {
    const previous = order.map((_node, position) => graph.length - order.length + position);
    for (const [position, node] of order.entries()) {
      graph.push({ node, used, before: used === 1 ? [] : previous.slice(0, position) });
    }
  }
  return graph;
}
