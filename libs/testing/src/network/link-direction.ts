import type { Socket } from 'node:net';

export interface LinkConditions {
  /** One way. Default: 0. */
  readonly delayMs?: number;
  /** Default: no limit. */
  readonly bytesPerSecond?: number;
}

/** Beyond this a sender is made to wait, as by a full router. */
const QUEUE_LIMIT_BYTES = 256 * 1024;
/** Timers are no finer: what is due within this goes at once. The link's clock stays exact, so its rate does too. */
const EARLY_MS = 0.5;

/** One direction of a link: a single line on which bytes follow each other. */
export class LinkDirection {
  private freeAt = 0;
  private stalled = false;
  private readonly pumps = new Set<Pump>();

  constructor(public conditions: LinkConditions) {}

  get isStalled(): boolean {
    return this.stalled;
  }

  join(pump: Pump): void {
    this.pumps.add(pump);
  }

  leave(pump: Pump): void {
    this.pumps.delete(pump);
  }

  stall(): void {
    this.stalled = true;
  }

  restore(): void {
    this.stalled = false;
    for (const pump of this.pumps) pump.drain();
  }

  /** Puts bytes on the line; returns when the last of them arrives. */
  occupy(bytes: number, now: number): number {
    const { delayMs = 0, bytesPerSecond = Infinity } = this.conditions;
    this.freeAt = Math.max(this.freeAt, now) + (bytes / bytesPerSecond) * 1_000;
    return this.freeAt + delayMs;
  }
}

interface Queued {
  /** Null: the end of the stream. */
  readonly chunk: Buffer | null;
  readonly dueAt: number;
}

/** Carries what one socket receives over the link to another. */
export class Pump {
  private readonly queue: Queued[] = [];
  private queuedBytes = 0;
  private timer: NodeJS.Timeout | undefined;

  constructor(
    private readonly source: Socket,
    private readonly sink: Socket,
    private readonly link: LinkDirection,
  ) {
    link.join(this);
    source.on('data', (chunk) => this.take(chunk)).on('end', () => this.take(null));
    sink.on('drain', () => this.drain());
  }

  stop(): void {
    this.link.leave(this);
    clearTimeout(this.timer);
    this.queue.length = 0;
  }

  /** Delivers what is due. */
  drain(): void {
    clearTimeout(this.timer);
    for (let next = this.queue[0]; next && !this.link.isStalled && !this.sink.writableNeedDrain; next = this.queue[0]) {
      const early = next.dueAt - performance.now();
      if (early > EARLY_MS) {
        this.timer = setTimeout(() => this.drain(), early);
        return;
      }
      this.queue.shift();
      this.deliver(next.chunk);
    }
  }

  private take(chunk: Buffer | null): void {
    const bytes = chunk?.length ?? 0;
    this.queue.push({ chunk, dueAt: this.link.occupy(bytes, performance.now()) });
    this.queuedBytes += bytes;
    if (this.queuedBytes > QUEUE_LIMIT_BYTES) this.source.pause();
    this.drain();
  }

  private deliver(chunk: Buffer | null): void {
    if (chunk === null) {
      this.sink.end();
      return;
    }
    this.sink.write(chunk);
    this.queuedBytes -= chunk.length;
    if (this.queuedBytes <= QUEUE_LIMIT_BYTES) this.source.resume();
  }
}
