/** Weight of the newest sample: about the last ten decide. */
const WEIGHT = 0.2;

/** An exponentially weighted mean; undefined before the first sample. */
export class Ewma {
  private mean: number | undefined;

  get value(): number | undefined {
    return this.mean;
  }

  add(sample: number): void {
    this.mean = this.mean === undefined ? sample : this.mean + WEIGHT * (sample - this.mean);
  }
}
