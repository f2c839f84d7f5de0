/**
 * For each first layer the end of the longest stage that begins there and fits; that layer itself where none does.
 * @param fits holds for every part of a range for which it holds
 */
export function stageEnds(layers: number, fits: (from: number, to: number) => boolean): Int32Array {
  const ends = new Int32Array(layers);
  for (let from = 0, end = 0; from < layers; from++) {
    end = Math.max(end, from);
    while (end < layers && fits(from, end + 1)) end++;
    ends[from] = end;
  }
  return ends;
}

/** By how many stages are placed. */
export interface PlacedLayers {
  /** With fewer the others cannot hold the rest. */
  readonly fewest: readonly number[];
  /** More than these no choice of nodes holds, or the stages after them need. */
  readonly most: readonly number[];
}

/**
 * Bounds of the layers that the first stages hold together.
 * @param ends of each node that may hold a stage
 * @param count stages in all, each with a layer at least
 */
export function placedLayers(ends: readonly Int32Array[], layers: number, count: number): PlacedLayers {
  const longest = ends.map((of) => of.reduce((length, end, from) => Math.max(length, end - from), 0));
  const descending = longest.sort((a, b) => b - a);
  const held = [0];
  for (let used = 1; used <= count; used++) held.push(held[used - 1]! + (descending[used - 1] ?? 0));
  return {
    fewest: held.map((_most, used) => Math.max(used, layers - held[count - used]!)),
    most: held.map((most, used) => Math.min(most, layers - (count - used))),
  };
}
