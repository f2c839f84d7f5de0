import { Injectable } from '@nestjs/common';
import { RouteTable } from './route-table';

/** Holds the newest route table; keeps it for as long as the hub is away. */
@Injectable()
export class RouteDirectory {
  private table: RouteTable | undefined;
  private lastReadyAt: number | undefined;
  private readonly listeners = new Set<() => void>();

  /** Undefined until the hub has sent the first one. */
  get current(): RouteTable | undefined {
    return this.table;
  }

  /** Milliseconds since a pipeline was ready, 0 while one is, undefined when none ever was. */
  get sinceLastReadyMs(): number | undefined {
    if (this.hasReadyPipeline) return 0;
    return this.lastReadyAt === undefined ? undefined : performance.now() - this.lastReadyAt;
  }

  publish(table: RouteTable): void {
    if (this.hasReadyPipeline) this.lastReadyAt = performance.now();
    this.table = table;
    for (const listener of [...this.listeners]) listener();
  }

  /** @returns takes the listener away again */
  onChange(listener: () => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  /** Resolves at the next table; rejects with the signal's reason when that comes first. */
  changed(signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal.aborted) return reject(signal.reason as Error);
      const finish = (settle: () => void) => {
        stopListening();
        signal.removeEventListener('abort', abort);
        settle();
      };
      const stopListening = this.onChange(() => finish(resolve));
      const abort = () => finish(() => reject(signal.reason as Error));
      signal.addEventListener('abort', abort);
    });
  }

  private get hasReadyPipeline(): boolean {
    return (this.table?.routes.length ?? 0) > 0;
  }
}
