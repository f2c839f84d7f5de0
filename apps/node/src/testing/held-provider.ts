import {
  type InferenceProvider,
  MockProvider,
  type Shard,
  type ShardSpec,
  type StepInput,
  type StepOutput,
} from '@pangalactic/inference';

/** The mock engine, whose steps a test can hold: then nothing depends on how fast the machine is. */
export class HeldProvider implements InferenceProvider {
  readonly backend = 'mock';
  /** Steps that were begun. */
  stepsBegun = 0;
  private readonly mock = new MockProvider();
  private readonly held: (() => void)[] = [];
  private allowed = Infinity;

  /** Steps that were begun and wait for `release`. */
  get stepsHeld(): number {
    return this.held.length;
  }

  /** Holds every step that begins from now on, after this many. */
  holdAfter(steps: number): void {
    this.allowed = steps;
  }

  release(): void {
    this.allowed = Infinity;
    for (const finish of this.held.splice(0)) finish();
  }

  async load(spec: ShardSpec, onProgress: (fraction: number) => void, signal?: AbortSignal): Promise<Shard> {
    const shard = await this.mock.load(spec, onProgress, signal);
    return {
      memoryBytes: shard.memoryBytes,
      apply: (command) => shard.apply(command),
      run: (step) => this.run(shard, step),
      unload: () => {
        this.release();
        return shard.unload();
      },
    };
  }

  close(): Promise<void> {
    this.release();
    return this.mock.close();
  }

  private async run(shard: Shard, step: StepInput): Promise<StepOutput> {
    this.stepsBegun += 1;
    const output = shard.run(step);
    if (this.allowed-- <= 0) await new Promise<void>((resolve) => this.held.push(resolve));
    return output;
  }
}
