import type { HopOpen, HopRequest, HopResponse, PipelineFault } from '@pangalactic/contracts';
import type { SlotCommand } from '@pangalactic/inference';
import type { ActivationCodec, Duplex } from '@pangalactic/transport';
import type { StageOutput, StageSink } from './stage-message';

type HopBody = Omit<HopRequest, 'number'>;

/** The sending end of a hop: numbers each message one higher than the last. */
export class HopSender implements StageSink {
  private lastNumber = 0;
  private over = false;

  constructor(
    private readonly channel: Duplex<HopRequest, HopResponse>,
    private readonly activations: ActivationCodec,
  ) {}

  open(open: HopOpen): Promise<void> {
    return this.send({ open });
  }

  command(command: SlotCommand): Promise<void> {
    return this.send(commandBody(command));
  }

  output({ step, rows, hidden, timings }: StageOutput): Promise<void> {
    if (!hidden) throw new Error(`step ${step} has no hidden states for the next stage`);
    const tokens = rows.reduce((sum, { count }) => sum + count, 0);
    const bytes = this.activations.encode(hidden, hidden.length / tokens);
    return this.send({ step: { step, rows: [...rows], hidden: bytes, timings: [...timings] } });
  }

  /** Why the pipeline ends; nothing goes out after it. */
  fault(fault: PipelineFault): void {
    void this.send({ fault });
    this.over = true;
  }

  private async send(body: HopBody): Promise<void> {
    if (this.over) return;
    // A send fails only when the call has ended, and whoever reads the call learns that too, with the other stage's reason.
    await this.channel.send({ number: ++this.lastNumber, ...body }).catch(() => undefined);
  }
}

function commandBody(command: SlotCommand): HopBody {
  switch (command.kind) {
    case 'start': {
      const { kind: _, promptIds, emittedIds, ...start } = command;
      return { start: { ...start, promptIds: [...promptIds], emittedIds: [...emittedIds] } };
    }
    case 'copy': {
      const { kind: _, ...copy } = command;
      return { copy };
    }
    case 'release': {
      const { kind: _, ...release } = command;
      return { release };
    }
  }
}
