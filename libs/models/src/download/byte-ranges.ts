/** Bytes [from, to) of a file. */
export interface ByteRange {
  readonly from: number;
  readonly to: number;
}

/** Which bytes of a file are there: ranges in order, none touching the next. */
export type ByteRanges = readonly ByteRange[];

export function addRange(ranges: ByteRanges, added: ByteRange): ByteRanges {
  if (added.to <= added.from) return ranges;
  const before = ranges.filter(({ to }) => to < added.from);
  const after = ranges.filter(({ from }) => from > added.to);
  const touching = ranges.slice(before.length, ranges.length - after.length);
  const from = Math.min(added.from, ...touching.map((range) => range.from));
  const to = Math.max(added.to, ...touching.map((range) => range.to));
  return [...before, { from, to }, ...after];
}

export function missingRanges(ranges: ByteRanges, size: number): ByteRange[] {
  const starts = [0, ...ranges.map(({ to }) => to)];
  const ends = [...ranges.map(({ from }) => from), size];
  return starts.map((from, index) => ({ from, to: ends[index]! })).filter(({ from, to }) => from < to);
}

export function coveredBytes(ranges: ByteRanges): number {
  return ranges.reduce((sum, { from, to }) => sum + to - from, 0);
}

/** The same bytes in ranges of at most `bytes`, each of which one request fetches. */
export function cutIntoPieces(ranges: ByteRanges, bytes: number): ByteRange[] {
  return ranges.flatMap(({ from, to }) =>
    Array.from({ length: Math.ceil((to - from) / bytes) }, (_, index) => ({
      from: from + index * bytes,
      to: Math.min(to, from + (index + 1) * bytes),
    })),
  );
}
