import { describe, expect, it } from 'vitest';
import { merge } from './merge';

/** A source that yields what it is fed, and tells what became of it. */
class Feed {
  taken = 0;
  ended = false;
  private readonly steps: (() => string)[] = [];
  private wake = () => {};

  feed(...steps: (string | Error)[]): void {
    for (const step of steps) {
      this.steps.push(() => {
        if (step instanceof Error) throw step;
        return step;
      });
    }
    this.wake();
  }

  async *items(): AsyncGenerator<string, void, undefined> {
    try {
      for (;;) {
        const step = this.steps.shift();
        if (!step) {
          await new Promise<void>((resolve) => (this.wake = resolve));
          continue;
        }
        const item = step();
        if (item === 'end') return;
        this.taken += 1;
        yield item;
      }
    } finally {
      this.ended = true;
    }
  }
}

const settled = () => new Promise((resolve) => setImmediate(resolve));

describe('merge', () => {
  it('gives items as they arrive, until all sources have ended', async () => {
    const [a, b] = [new Feed(), new Feed()];
    const merged = merge([a.items(), b.items()]);
    b.feed('b1');
    expect((await merged.next()).value).toBe('b1');
    b.feed('end');
    const next = merged.next();
    await settled();
    a.feed('a1', 'a2', 'end');
    expect([(await next).value, (await merged.next()).value]).toEqual(['a1', 'a2']);
    expect(await merged.next()).toEqual({ done: true, value: undefined });
  });

  it('lets no source run ahead of its reader', async () => {
    const [a, b] = [new Feed(), new Feed()];
    a.feed('a1', 'a2', 'a3');
    b.feed('b1', 'b2', 'b3');
    const merged = merge([a.items(), b.items()]);
    await merged.next();
    await settled();
    expect([a.taken, b.taken]).toEqual([1, 1]);
    await merged.next();
    await settled();
    expect(a.taken + b.taken).toBe(3);
  });

  it('fails as its first source does and ends the others', async () => {
    const [a, b] = [new Feed(), new Feed()];
    a.feed('a1');
    const merged = merge([a.items(), b.items()]);
    await merged.next();
    b.feed(new Error('broken'));
    await expect(merged.next()).rejects.toThrow('broken');
    await settled();
    expect([a.taken, b.ended]).toEqual([1, true]);
    // It still waits for its next item: that is for the caller to cut short.
    a.feed('end');
    await settled();
    expect(a.ended).toBe(true);
  });

  it('ends its sources when the reader leaves', async () => {
    const a = new Feed();
    a.feed('a1');
    for await (const item of merge([a.items()])) if (item === 'a1') break;
    await settled();
    expect(a.ended).toBe(true);
  });
});
