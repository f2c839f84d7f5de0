import type { PangalacticError } from '@pangalactic/contracts';
import type { Observable } from 'rxjs';

export interface CallOptions {
  readonly deadlineMs?: number;
  /** Aborting cancels the call; a PangalacticError as the reason becomes the call's error. */
  readonly signal?: AbortSignal;
}

export interface UnaryOptions extends CallOptions {
  readonly deadlineMs: number;
}

/** Messages of the peer, pulled one by one: not more than a few are read ahead. For one reader. */
export interface ServerStream<Response> extends AsyncIterableIterator<Response> {
  /** Ends the call; a pending or later `next()` throws `reason`, by default `cancelled`. Leaving a for-await loop early cancels too. */
  cancel(reason?: PangalacticError): void;
}

/** Both directions of a bidirectional call. On the server a for-await loop may be left early without ending the call. */
export interface Duplex<Out, In> extends ServerStream<In> {
  /**
   * Queues the message in the order of the calls and resolves when there is room for another. Rejects as soon as the
   * call has ended, so it never waits for a peer that is gone. The message must not be changed afterwards: it is
   * serialised when the transport takes it.
   */
  send(message: Out): Promise<void>;
  /** Queues the message if there is room for it right now. False: nothing was queued. */
  trySend(message: Out): boolean;
  /** Nothing more will be sent; the peer's messages can still be read. */
  end(): void;
}

type ClientCall<Method> = Method extends (request: infer Request) => infer Result
  ? Request extends Observable<infer Out>
    ? Result extends Observable<infer In>
      ? (options?: CallOptions) => Duplex<Out, In>
      : never
    : Result extends Observable<infer Response>
      ? (request: Request, options?: CallOptions) => ServerStream<Response>
      : Result extends Promise<infer Response>
        ? (request: Request, options: UnaryOptions) => Promise<Response>
        : never
  : never;

/** A generated service interface as its caller sees it. */
export type GrpcClient<Service> = { readonly [Name in keyof Service]: ClientCall<Service[Name]> } & {
  readonly address: string;
  /** Closes the connection; open calls end. */
  close(): void;
};
