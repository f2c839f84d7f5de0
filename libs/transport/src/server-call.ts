import type { ServerDuplexStream, ServerWritableStream } from '@grpc/grpc-js';
import { Logger } from '@nestjs/common';
import { PangalacticError, toPangalacticError } from '@pangalactic/contracts';
import { CallEnd } from './call-end';
import { toServiceError } from './errors';

export interface StreamOptions {
  /** Aborting ends the call with its reason as the status: how draining ends streams that would never end. */
  readonly until?: AbortSignal;
}

type StreamingCall = ServerWritableStream<never, unknown> | ServerDuplexStream<never, unknown>;

const logger = new Logger('grpc');

/** Expected failures are the caller's to read; a defect must also show up here. */
export function logDefect(thrown: unknown, method: string): void {
  const error = toPangalacticError(thrown);
  if (error.code !== 'internal_error') return;
  const cause = error.cause instanceof Error ? error.cause : error;
  logger.error({ event: 'grpc_handler_failed', method, error: error.message, stack: cause.stack });
}

/** The end of a streaming call as its handler sees it, and the ways to bring it about. */
export class ServerCall {
  readonly end = new CallEnd();
  private readonly aborter = new AbortController();

  constructor(
    private readonly call: StreamingCall,
    { until }: StreamOptions,
  ) {
    const gone = () => this.end.reach(new PangalacticError('cancelled', 'the caller has cancelled or gone away'));
    this.end.onReached(() => {
      if (this.end.error) this.aborter.abort(this.end.error);
    });
    call.once('cancelled', gone);
    call.once('close', gone);
    if (call.cancelled) gone();
    if (until) this.followSignal(until);
  }

  /** Aborts when the call ends before its handler does. */
  get signal(): AbortSignal {
    return this.aborter.signal;
  }

  /** Ends the call with the status of whatever was thrown, unless it has ended already. */
  fail(thrown: unknown): void {
    if (thrown !== this.end.error) logDefect(thrown, this.call.getPath());
    if (this.end.reached) return;
    this.end.reach(toPangalacticError(thrown));
    // The one way to a proper status: throwing or destroying sends none. Nobody need listen, grpc-js does.
    this.call.emit('error', toServiceError(thrown) as Error);
  }

  private followSignal(until: AbortSignal): void {
    const stop = () => this.fail(until.reason);
    if (until.aborted) return stop();
    const followers = followersOf(until);
    followers.add(stop);
    this.end.onReached(() => followers.delete(stop));
  }
}

const followersBySignal = new WeakMap<AbortSignal, Set<() => void>>();

/** What to call when the signal aborts. An AbortSignal looks at all of its listeners to add one, so it has one for all calls. */
function followersOf(signal: AbortSignal): Set<() => void> {
  const known = followersBySignal.get(signal);
  if (known) return known;
  const followers = new Set<() => void>();
  followersBySignal.set(signal, followers);
  signal.addEventListener('abort', () => followers.forEach((stop) => stop()), { once: true });
  return followers;
}
