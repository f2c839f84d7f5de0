/** How long to wait for a load elsewhere: for as long as it makes progress, and its node answers at all. */
export class LoadPatience {
  private furthest = -1;
  private progressedAt: number;
  private heardAt: number;

  /**
   * @param stallMs that it may make no progress
   * @param silenceMs that its node may not answer: the hub takes only nodes that are up
   */
  constructor(
    private readonly stallMs: number,
    private readonly silenceMs: number,
    now: number,
  ) {
    this.progressedAt = now;
    this.heardAt = now;
  }

  /** Its node has answered, whatever it said. */
  heard(now: number): void {
    this.heardAt = now;
  }

  progress(progress: number, now: number): void {
    this.heard(now);
    if (progress <= this.furthest) return;
    this.furthest = progress;
    this.progressedAt = now;
  }

  isOver(now: number): boolean {
    return now - this.progressedAt > this.stallMs || now - this.heardAt > this.silenceMs;
  }
}
