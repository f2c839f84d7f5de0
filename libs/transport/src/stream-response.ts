import type { ServerWritableStream } from '@grpc/grpc-js';
import { Observable } from 'rxjs';
import { MessageWriter } from './message-writer';
import { ServerCall, type StreamOptions } from './server-call';

/**
 * The body of every server-streaming handler: `return streamResponse(call, (signal) => messages(signal))`, where `call` is
 * the third argument of a @GrpcMethod. Messages are pulled at the speed of the reader. When the caller is gone, `signal`
 * aborts and the iterable is returned; what it throws becomes the call's status.
 * @returns an Observable that emits nothing and completes with the stream: Nest would buffer emitted values without bound
 */
export function streamResponse<Response>(
  call: ServerWritableStream<never, Response>,
  produce: (signal: AbortSignal) => AsyncIterable<Response>,
  options: StreamOptions = {},
): Observable<never> {
  return new Observable((subscriber) => {
    void pump(call, produce, options).then(() => subscriber.complete());
  });
}

async function pump<Response>(
  call: ServerWritableStream<never, Response>,
  produce: (signal: AbortSignal) => AsyncIterable<Response>,
  options: StreamOptions,
): Promise<void> {
  const serverCall = new ServerCall(call, options);
  const { end, signal } = serverCall;
  try {
    if (end.reached) return;
    const writer = new MessageWriter<Response>(call, end);
    const iterator = produce(signal)[Symbol.asyncIterator]();
    // A producer that waits for its next message learns at once that nobody wants it.
    end.onReached(() => void iterator.return?.().catch(() => undefined));
    for await (const message of { [Symbol.asyncIterator]: () => iterator }) await writer.send(message);
    end.reach();
  } catch (error) {
    serverCall.fail(error);
  }
}
