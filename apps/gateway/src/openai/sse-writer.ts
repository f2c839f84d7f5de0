import type { ServerResponse } from 'node:http';
import type { OutgoingHttpHeaders } from 'node:http';

export interface SseTimings {
  /** A comment is sent after this long without data, so that proxies keep the connection while a prompt is processed. */
  readonly pingIntervalMs: number;
  /** A client that reads nothing for this long is disconnected. */
  readonly stallTimeoutMs: number;
}

export const SSE_TIMINGS: SseTimings = { pingIntervalMs: 15_000, stallTimeoutMs: 120_000 };

/**
 * Server-sent events on a raw response. `send` waits for a slow reader, so whoever awaits it holds back its source and
 * nothing piles up here.
 */
export class SseWriter {
  private readonly ping: NodeJS.Timeout;

  constructor(
    private readonly response: ServerResponse,
    headers: OutgoingHttpHeaders,
    private readonly timings: SseTimings,
  ) {
    response.writeHead(200, {
      ...headers,
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-cache',
      // Asks nginx not to collect the stream before passing it on.
      'x-accel-buffering': 'no',
    });
    response.flushHeaders();
    this.ping = setInterval(() => this.sendPing(), timings.pingIntervalMs);
    response.once('close', () => clearInterval(this.ping));
  }

  /** Resolves when the connection takes more, or is closed. */
  async send(data: object): Promise<void> {
    await this.write(`data: ${JSON.stringify(data)}\n\n`);
    this.ping.refresh();
  }

  /** Says that the stream is over, as OpenAI's clients expect it. */
  async end(): Promise<void> {
    await this.write('data: [DONE]\n\n');
    clearInterval(this.ping);
    this.response.end();
  }

  private sendPing(): void {
    if (!this.response.writableNeedDrain) this.response.write(': ping\n\n');
  }

  private async write(text: string): Promise<void> {
    if (this.response.destroyed || this.response.write(text)) return;
    await drainedOrClosed(this.response, this.timings.stallTimeoutMs);
  }
}

/** A peer that vanished never drains: `close` ends the wait too. */
function drainedOrClosed(response: ServerResponse, timeoutMs: number): Promise<void> {
  return new Promise((resolve) => {
    const stalled = setTimeout(() => response.destroy(), timeoutMs);
    const done = () => {
      clearTimeout(stalled);
      response.off('drain', done).off('close', done);
      resolve();
    };
    response.once('drain', done).once('close', done);
  });
}
