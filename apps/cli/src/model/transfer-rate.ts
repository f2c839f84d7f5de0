interface Sample {
  readonly at: number;
  readonly bytes: number;
}

const WINDOW_MS = 10_000;

/** How fast bytes come, over the last ten seconds: what came in an earlier run does not count. */
export class TransferRate {
  private samples: Sample[] = [];

  constructor(private readonly totalBytes: number) {}

  /** @param bytes that are there by now */
  observe(at: number, bytes: number): void {
    this.samples.push({ at, bytes });
    const recent = this.samples.findIndex((sample) => sample.at >= at - WINDOW_MS);
    // One older sample stays, so that the window is covered as a whole.
    this.samples.splice(0, Math.max(0, recent - 1));
  }

  get bytesPerSecond(): number {
    const [first] = this.samples;
    const last = this.samples.at(-1);
    if (!first || !last || last.at <= first.at) return 0;
    return ((last.bytes - first.bytes) * 1000) / (last.at - first.at);
  }

  /** undefined as long as nothing can be said. */
  get secondsLeft(): number | undefined {
    const rate = this.bytesPerSecond;
    return rate > 0 ? (this.totalBytes - this.samples.at(-1)!.bytes) / rate : undefined;
  }
}
