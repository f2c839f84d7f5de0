import type { Readable } from 'node:stream';
import type { CallEnd } from './call-end';

/**
 * A Node.js peer that cancels a call writes END_STREAM first and, once that write is through, RST_STREAM: an end of
 * messages stands only when no reset has followed it within this time, which is some hundred times what one takes.
 */
const RESET_LAG_MS = 100;

/** Pulls messages out of a grpc-js call, which reads ahead only what its object buffer holds (16 messages). */
export class MessageReader<In> {
  private wake: (() => void) | undefined;

  constructor(
    private readonly stream: Readable,
    private readonly end: CallEnd,
  ) {
    const notify = () => this.wake?.();
    stream.on('readable', notify);
    stream.on('end', notify);
    end.onReached(notify);
  }

  async next(): Promise<IteratorResult<In, undefined>> {
    for (;;) {
      // What arrived before the end is delivered before the end is told, unless the call was cancelled (destroyed).
      const message = this.stream.destroyed ? null : (this.stream.read() as In | null);
      if (message !== null) return { value: message, done: false };
      if (this.end.error) throw this.end.error;
      if (this.end.reached) return { value: undefined, done: true };
      if (this.stream.readableEnded) return this.halfClosed();
      await new Promise<void>((resolve) => (this.wake = resolve));
    }
  }

  private async halfClosed(): Promise<IteratorResult<In, undefined>> {
    await this.end.reachedWithin(RESET_LAG_MS);
    if (this.end.error) throw this.end.error;
    return { value: undefined, done: true };
  }
}
