/** How long to wait for a load elsewhere: for as long as it makes progress. */
export class LoadPatience {
  private furthest = -1;

  /** @param since the wait began, or the last progress was made */
  constructor(
    private readonly stallMs: number,
    private since: number,
  ) {}

  progress(progress: number, now: number): void {
    if (progress <= this.furthest) return;
    this.furthest = progress;
    this.since = now;
  }

  isOver(now: number): boolean {
    return now - this.since > this.stallMs;
  }
}
