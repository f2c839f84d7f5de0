import { PangalacticError } from '@pangalactic/contracts';
import type { ServerStream } from '@pangalactic/transport';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { watchHead } from './watch-head';

/** A call whose messages come when the test sends them. */
class ScriptedCall implements ServerStream<number> {
  private settle: { resolve: (next: IteratorResult<number>) => void; reject: (error: unknown) => void } | undefined;
  readonly cancelled: (PangalacticError | undefined)[] = [];

  next(): Promise<IteratorResult<number>> {
    return new Promise((resolve, reject) => (this.settle = { resolve, reject }));
  }

  send(value: number): void {
    this.settle?.resolve({ value, done: false });
  }

  cancel(reason?: PangalacticError): void {
    this.cancelled.push(reason);
    if (reason) this.settle?.reject(reason);
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}

describe('watchHead', () => {
  let call: ScriptedCall;
  let asked: number;
  let isThere: boolean;
  const messages = () =>
    watchHead(call, {
      silenceMs: 1_000,
      answers: () => {
        asked += 1;
        return Promise.resolve(isThere);
      },
    });

  beforeEach(() => {
    vi.useFakeTimers();
    call = new ScriptedCall();
    asked = 0;
    isThere = true;
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  it('asks nothing while messages come', async () => {
    const stream = messages();
    for (const value of [1, 2, 3]) {
      const next = stream.next();
      await vi.advanceTimersByTimeAsync(900);
      call.send(value);
      expect(await next).toEqual({ value, done: false });
    }
    expect(asked).toBe(0);
  });

  it('waits for a silent head for as long as that answers', async () => {
    const next = messages().next();
    await vi.advanceTimersByTimeAsync(5_500);
    expect(asked).toBe(5);
    call.send(7);
    expect(await next).toEqual({ value: 7, done: false });
  });

  it('ends the call of a head that says nothing and does not answer', async () => {
    isThere = false;
    const failure = expect(messages().next()).rejects.toMatchObject({ code: 'service_unavailable' });
    await vi.advanceTimersByTimeAsync(1_000);
    await failure;
  });

  it('does not take the pauses of a slow reader for silence', async () => {
    isThere = false;
    const stream = messages();
    const next = stream.next();
    await vi.advanceTimersByTimeAsync(0);
    call.send(1);
    await next;
    await vi.advanceTimersByTimeAsync(10_000);
    expect(asked).toBe(0);
    expect(call.cancelled).toEqual([]);
  });

  it('cancels the call when it is left, and asks no more', async () => {
    const stream = messages();
    const next = stream.next();
    await vi.advanceTimersByTimeAsync(0);
    call.send(1);
    await next;
    await stream.return();
    expect(call.cancelled).toEqual([undefined]);
    expect(vi.getTimerCount()).toBe(0);
  });
});
