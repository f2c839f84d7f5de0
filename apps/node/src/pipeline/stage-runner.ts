import type { Shard, SlotCommand } from '@pangalactic/inference';
import type { StageMessage, StageOutput, StageSink } from './stage-message';

export interface StageObserver {
  /** A command was applied. */
  onCommand(): void;
  /** A step was computed. */
  onOutput(output: StageOutput): void;
  /** The engine or the sink failed: the stage must not be used any more. */
  onFailure(error: unknown): void;
}

/**
 * Runs one stage's shard over its messages, first in first out. While a step computes, the next message is taken already,
 * so that the engine never waits for the network; a third one is not, which is the backpressure towards the sender.
 */
export class StageRunner {
  private forwarded: Promise<void> = Promise.resolve();
  private readonly slots = new Set<number>();

  constructor(
    private readonly shard: Shard,
    private readonly sink: StageSink,
    private readonly observer: StageObserver,
  ) {}

  /** Slots that a sequence holds. */
  get slotsInUse(): number {
    return this.slots.size;
  }

  /**
   * Resolves when there is room for another message. To be called one at a time.
   * @throws PangalacticError for a command that cannot be
   */
  async push(message: StageMessage): Promise<void> {
    if (message.kind === 'command') {
      this.apply(message.command);
      await this.forwarded;
      this.forward(this.sink.command(message.command));
    } else {
      const running = this.run(message);
      // Awaited only when its turn has come; a failure until then must not count as unhandled.
      running.catch(() => undefined);
      await this.forwarded;
      this.forward(running.then((output) => this.deliver(output)));
    }
  }

  private apply(command: SlotCommand): void {
    this.shard.apply(command);
    if (command.kind === 'start') this.slots.add(command.slot);
    if (command.kind === 'release') this.slots.delete(command.slot);
    this.observer.onCommand();
  }

  private async run({ step, input, timings }: Extract<StageMessage, { kind: 'step' }>): Promise<StageOutput> {
    const arrivedAt = performance.now();
    const output = await this.shard.run(input);
    const { computeMs } = output;
    const waitMs = Math.max(0, performance.now() - arrivedAt - computeMs);
    return { step, rows: input.rows, timings: [...timings, { waitMs, computeMs }], ...output };
  }

  private async deliver(output: StageOutput): Promise<void> {
    const sent = this.sink.output(output);
    this.observer.onOutput(output);
    await sent;
  }

  private forward(work: Promise<void>): void {
    this.forwarded = work.catch((error: unknown) => this.observer.onFailure(error));
  }
}
