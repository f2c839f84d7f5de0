import { status as Status, type ClientDuplexStream, type ClientReadableStream, type StatusObject } from '@grpc/grpc-js';
import { PangalacticError } from '@pangalactic/contracts';
import { CallEnd } from './call-end';
import type { CallOptions, Duplex, ServerStream } from './call-types';
import { fromCallStatus } from './errors';
import { MessageReader } from './message-reader';
import { MessageWriter } from './message-writer';

/** The reason of an aborted signal, as the error of the call that it cancelled. */
export function cancellation(signal?: AbortSignal): PangalacticError {
  const reason: unknown = signal?.reason;
  if (reason instanceof PangalacticError) return reason;
  return new PangalacticError('cancelled', 'the call was cancelled', { cause: reason });
}

export class ReadingCall<In> implements ServerStream<In> {
  protected readonly callEnd = new CallEnd();
  private readonly reader: MessageReader<In>;

  constructor(
    private readonly call: ClientReadableStream<In> | ClientDuplexStream<never, In>,
    address: string,
    signal?: AbortSignal,
  ) {
    // grpc-js reports a failure twice, and an 'error' without a listener would end the process.
    call.on('error', () => undefined);
    call.once('status', (status: StatusObject) =>
      this.callEnd.reach(status.code === Status.OK ? undefined : fromCallStatus(status, address)),
    );
    this.reader = new MessageReader(call, this.callEnd);
    if (signal) this.followSignal(signal);
  }

  next(): Promise<IteratorResult<In, undefined>> {
    return this.reader.next();
  }

  async return(): Promise<IteratorResult<In, undefined>> {
    this.cancel();
    return { value: undefined, done: true };
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  /** Tells, once, that nothing more will come of the call. */
  onEnd(listener: () => void): void {
    this.callEnd.onReached(listener);
  }

  cancel(reason: PangalacticError = cancellation()): void {
    this.callEnd.reach(reason);
    this.call.cancel();
    // Unread messages of a cancelled call are of no use to anyone.
    this.call.destroy();
  }

  private followSignal(signal: AbortSignal): void {
    const abort = () => this.cancel(cancellation(signal));
    if (signal.aborted) return abort();
    signal.addEventListener('abort', abort, { once: true });
    this.callEnd.onReached(() => signal.removeEventListener('abort', abort));
  }
}

export class DuplexCall<Out, In> extends ReadingCall<In> implements Duplex<Out, In> {
  private readonly writer: MessageWriter<Out>;

  constructor(
    private readonly duplex: ClientDuplexStream<Out, In>,
    address: string,
    options: CallOptions,
  ) {
    super(duplex, address, options.signal);
    this.writer = new MessageWriter(duplex, this.callEnd);
  }

  send(message: Out): Promise<void> {
    return this.writer.send(message);
  }

  trySend(message: Out): boolean {
    return this.writer.trySend(message);
  }

  end(): void {
    this.duplex.end();
  }
}
