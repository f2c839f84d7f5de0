const MINUTE_MS = 60_000;
/** Uses so close together are remembered as one entry, at the time of the last: a bound on memory, and never too lenient. */
const ENTRY_MS = 250;

export interface Uses {
  /** Milliseconds on any clock that does not go backwards. */
  readonly at: number;
  readonly count: number;
}

interface Entry {
  readonly from: number;
  at: number;
  count: number;
}

/** What was used within the last minute: at most 240 entries, whatever the number of uses. */
export class MinuteWindow {
  /** Oldest first; their stretches do not overlap. */
  private entries: Entry[] = [];
  private sum = 0;

  /** In any order of time: reports of several gateways mix. */
  add(at: number, count = 1): void {
    if (count === 0) return;
    this.sum += count;
    let index = this.entries.length - 1;
    while (index >= 0 && this.entries[index]!.from > at) index -= 1;
    const entry = this.entries[index];
    if (entry && at - entry.from < ENTRY_MS) {
      entry.at = Math.max(entry.at, at);
      entry.count += count;
    } else {
      this.entries.splice(index + 1, 0, { from: at, at, count });
    }
  }

  total(now: number): number {
    const kept = this.entries.findIndex(({ at }) => at + MINUTE_MS > now);
    const forgotten = this.entries.splice(0, kept === -1 ? this.entries.length : kept);
    for (const { count } of forgotten) this.sum -= count;
    return this.sum;
  }

  totalSince(from: number): number {
    let sum = 0;
    for (let index = this.entries.length - 1; index >= 0 && this.entries[index]!.at >= from; index -= 1) {
      sum += this.entries[index]!.count;
    }
    return sum;
  }

  /** Whole milliseconds until `count` of the uses no longer count; 0 when there are not as many. */
  forgottenAfterMs(now: number, count: number): number {
    let sum = 0;
    for (const entry of this.entries) {
      sum += entry.count;
      if (sum >= count) return Math.max(0, Math.ceil(entry.at + MINUTE_MS - now));
    }
    return 0;
  }

  /** Until none counts any more. */
  emptyAfterMs(now: number): number {
    const last = this.entries.at(-1);
    return last ? Math.max(0, Math.ceil(last.at + MINUTE_MS - now)) : 0;
  }

  get uses(): readonly Uses[] {
    return this.entries;
  }
}
