import type { Readable } from 'node:stream';
import { setImmediate } from 'node:timers/promises';
import type { CallEnd } from './call-end';

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

  /** A caller's reset first looks like an orderly end of its messages; that it was none shows in the same turn. */
  private async halfClosed(): Promise<IteratorResult<In, undefined>> {
    await setImmediate();
    if (this.end.error) throw this.end.error;
    return { value: undefined, done: true };
  }
}
