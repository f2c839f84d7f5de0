import { setMaxListeners } from 'node:events';
import type { Server } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import { Inject, Injectable, Logger, type BeforeApplicationShutdown, type OnApplicationShutdown } from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import { PangalacticError } from '@pangalactic/contracts';
import { GrpcServerHandle } from '@pangalactic/transport';

export interface DrainOptions {
  /** How long to go on as before, only not ready any more, so that load balancers notice. */
  readonly delayMs: number;
  /** From the signal, so including the delay: work still running then is ended. Fits terminationGracePeriodSeconds (120) with a margin. */
  readonly deadlineMs: number;
  /** What the servers get, once drained, to close by themselves before their connections are cut. */
  readonly closeGraceMs: number;
  /** What the hooks get after that; a process that is still there then is killed. */
  readonly leaveGraceMs: number;
}

export const DEFAULT_DRAIN_OPTIONS: DrainOptions = {
  delayMs: 0,
  deadlineMs: 100_000,
  closeGraceMs: 3_000,
  leaveGraceMs: 5_000,
};
export const DRAIN_OPTIONS = Symbol('DrainOptions');

export type LifecycleState = 'STARTING' | 'SERVING' | 'DRAINING' | 'DRAINED';
export type DrainCallback = () => Promise<void> | void;

/**
 * The one shutdown story: not ready at once, keep serving, tell others, wait for work in flight, end the endless streams,
 * and only then let Nest close the servers. Databases and channels belong into onApplicationShutdown, which comes after.
 */
@Injectable()
export class DrainCoordinator implements BeforeApplicationShutdown, OnApplicationShutdown {
  private readonly logger = new Logger('lifecycle');
  private readonly callbacks: DrainCallback[] = [];
  private announceServing: () => void = () => undefined;
  /** Resolves when all servers of the process listen: only then may others be told of it. */
  readonly serving = new Promise<void>((resolve) => (this.announceServing = resolve));
  private readonly closer = new AbortController();
  private readonly idleWaiters = new Set<() => void>();
  private current: LifecycleState = 'STARTING';
  private running = 0;
  private cutTimer: NodeJS.Timeout | undefined;

  constructor(
    @Inject(DRAIN_OPTIONS) private readonly options: DrainOptions,
    private readonly grpc: GrpcServerHandle,
    private readonly http: HttpAdapterHost,
  ) {
    // Every open stream listens.
    setMaxListeners(0, this.closer.signal);
  }

  get state(): LifecycleState {
    return this.current;
  }

  get inFlight(): number {
    return this.running;
  }

  /**
   * Aborts when no work is in flight any more, or at the deadline. Handlers of streams that never end by themselves pass
   * it as `until`, so that their callers get UNAVAILABLE instead of a cut connection.
   */
  get closing(): AbortSignal {
    return this.closer.signal;
  }

  /** All servers listen. */
  markServing(): void {
    this.current = 'SERVING';
    this.grpc.setServing(true);
    this.announceServing();
  }

  /** Runs once, when draining, before waiting for work in flight. */
  onDrain(callback: DrainCallback): void {
    this.callbacks.push(callback);
  }

  /** Counts a piece of work that a drain waits for, until the returned function is called. */
  begin(): () => void {
    this.running += 1;
    let ended = false;
    return () => {
      if (ended) return;
      ended = true;
      this.running -= 1;
      if (this.running === 0) this.idleWaiters.forEach((wake) => wake());
    };
  }

  async track<T>(work: () => Promise<T>): Promise<T> {
    const end = this.begin();
    try {
      return await work();
    } finally {
      end();
    }
  }

  async beforeApplicationShutdown(): Promise<void> {
    const deadline = AbortSignal.timeout(this.options.deadlineMs);
    this.current = 'DRAINING';
    this.grpc.setServing(false);
    this.logger.log({ event: 'draining', inFlight: this.running });
    await this.drain(deadline);
    this.logger.log({ event: 'drained', inFlight: this.running });
    this.closer.abort(new PangalacticError('service_unavailable', 'the process is shutting down'));
    this.current = 'DRAINED';
    this.cutTimer = setTimeout(() => this.cutConnections(), this.options.closeGraceMs);
  }

  onApplicationShutdown(): void {
    clearTimeout(this.cutTimer);
  }

  private async drain(deadline: AbortSignal): Promise<void> {
    const unlessLate = <T>(step: Promise<T>) => Promise.race([step, aborted(deadline)]);
    await unlessLate(delay(this.options.delayMs));
    await unlessLate(Promise.all(this.callbacks.map((callback) => this.run(callback))));
    await unlessLate(this.idle());
  }

  private async run(callback: DrainCallback): Promise<void> {
    try {
      await callback();
    } catch (error) {
      this.logger.error({ event: 'drain_callback_failed', error: String(error) });
    }
  }

  private idle(): Promise<void> {
    if (this.running === 0) return Promise.resolve();
    return new Promise((resolve) => this.idleWaiters.add(resolve));
  }

  /** Nest waits without limit for open calls and requests. */
  private cutConnections(): void {
    this.logger.warn({ event: 'connections_cut', inFlight: this.running });
    this.grpc.forceShutdown();
    (this.http.httpAdapter.getHttpServer() as Server).closeAllConnections();
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
}
