import { PangalacticError, type HopOpen, type HopRequest } from '@pangalactic/contracts';
import type { ActivationCodec } from '@pangalactic/transport';
import { FaultReport } from './pipeline-fault';
import type { StageMessage } from './stage-message';

/** The receiving end of a hop: no message of the sender may be missing. */
export class HopReceiver {
  private lastNumber = 0;

  open(request: HopRequest): HopOpen {
    this.follow(request);
    if (!request.open) throw invalidFrame('a hop begins with open');
    return request.open;
  }

  /**
   * @throws FaultReport for the last message of a pipeline that broke
   * @throws PangalacticError `invalid_frame` for a gap, a message out of place or a tensor of the wrong size
   */
  message(request: HopRequest, activations: ActivationCodec, hiddenSize: number): StageMessage {
    this.follow(request);
    const { start, copy, release, step, fault } = request;
    if (step) {
      const tokens = step.rows.reduce((sum, row) => sum + row.count, 0);
      const hidden = activations.decode(step.hidden, tokens, hiddenSize);
      const input = { rows: step.rows, hidden };
      return { kind: 'step', step: step.step, input, arrivedAt: performance.now(), timings: step.timings };
    }
    if (start) {
      const { sampling } = start;
      if (!sampling) throw invalidFrame(`start of slot ${start.slot} without sampling`);
      return { kind: 'command', command: { kind: 'start', ...start, sampling } };
    }
    if (copy) return { kind: 'command', command: { kind: 'copy', ...copy } };
    if (release) return { kind: 'command', command: { kind: 'release', ...release } };
    if (fault) throw new FaultReport(fault);
    throw invalidFrame(`hop message ${request.number} is none of start, copy, release, step and fault`);
  }

  private follow({ number }: HopRequest): void {
    const expected = this.lastNumber + 1;
    if (number !== expected) throw invalidFrame(`hop message ${number} arrived, ${expected} was expected`);
    this.lastNumber = number;
  }
}

function invalidFrame(message: string): PangalacticError {
  return new PangalacticError('invalid_frame', message);
}
