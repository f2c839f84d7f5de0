import type { ServerDuplexStream } from '@grpc/grpc-js';
import { PangalacticError } from '@pangalactic/contracts';
import type { Duplex } from './call-types';
import { MessageReader } from './message-reader';
import { MessageWriter } from './message-writer';
import { ServerCall, type StreamOptions } from './server-call';

/**
 * The body of every @GrpcStreamCall handler: `return handleDuplex(call, async (channel, signal) => { ... })`. The call ends
 * when the handler returns, or with the status of what it throws. When the caller is gone, `signal` aborts, reads and
 * sends reject, and whatever the handler throws then is dropped. The promise never rejects.
 */
export async function handleDuplex<Out, In>(
  call: ServerDuplexStream<In, Out>,
  handler: (channel: Duplex<Out, In>, signal: AbortSignal) => Promise<void>,
  options: StreamOptions = {},
): Promise<void> {
  const serverCall = new ServerCall(call as ServerDuplexStream<never, unknown>, options);
  const channel = new ServerChannel<Out, In>(call, serverCall);
  try {
    await handler(channel, serverCall.signal);
    channel.finish();
  } catch (error) {
    serverCall.fail(error);
  }
}

class ServerChannel<Out, In> implements Duplex<Out, In> {
  private readonly reader: MessageReader<In>;
  private readonly writer: MessageWriter<Out>;

  constructor(
    private readonly stream: ServerDuplexStream<In, Out>,
    private readonly serverCall: ServerCall,
  ) {
    this.reader = new MessageReader(stream, serverCall.end);
    this.writer = new MessageWriter(stream, serverCall.end);
  }

  next(): Promise<IteratorResult<In, undefined>> {
    return this.reader.next();
  }

  /** The handler may go on after leaving its loop: only its own end ends the call. */
  async return(): Promise<IteratorResult<In, undefined>> {
    return { value: undefined, done: true };
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  send(message: Out): Promise<void> {
    return this.writer.send(message);
  }

  trySend(message: Out): boolean {
    return this.writer.trySend(message);
  }

  end(): void {
    this.stream.end();
  }

  cancel(reason: PangalacticError = new PangalacticError('cancelled', 'the call was cancelled by the server')): void {
    this.serverCall.fail(reason);
  }

  finish(): void {
    if (this.serverCall.end.reached) return;
    this.serverCall.end.reach();
    this.stream.end();
  }
}
