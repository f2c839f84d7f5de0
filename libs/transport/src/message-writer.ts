import type { Writable } from 'node:stream';
import { PangalacticError } from '@pangalactic/contracts';
import type { CallEnd } from './call-end';

/** Writes messages into a grpc-js call with backpressure that never outlives the call. */
export class MessageWriter<Out> {
  private room: Promise<void> | undefined;

  constructor(
    private readonly stream: Writable,
    private readonly end: CallEnd,
  ) {}

  async send(message: Out): Promise<void> {
    if (!this.open) throw this.closedError();
    if (!this.stream.write(message)) await this.waitForRoom();
  }

  trySend(message: Out): boolean {
    if (!this.open || this.stream.writableNeedDrain) return false;
    this.stream.write(message);
    return true;
  }

  /** Waiting for `drain` alone would hang when the peer vanishes. All senders share one pair of listeners. */
  private waitForRoom(): Promise<void> {
    this.room ??= new Promise<void>((resolve, reject) => {
      const drained = () => {
        stopListening();
        resolve();
      };
      this.stream.once('drain', drained);
      const stopListening = this.end.onReached(() => {
        this.stream.off('drain', drained);
        reject(this.closedError());
      });
    }).finally(() => (this.room = undefined));
    return this.room;
  }

  private get open(): boolean {
    return !this.end.reached && this.stream.writable;
  }

  private closedError(): PangalacticError {
    return (
      this.end.error ?? new PangalacticError('service_unavailable', 'the call has ended, nothing more can be sent')
    );
  }
}
