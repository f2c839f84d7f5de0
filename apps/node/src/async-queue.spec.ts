import { describe, expect, it } from 'vitest';
import { AsyncQueue } from './async-queue';

describe('AsyncQueue', () => {
  it('hands out values in order, pushed before or while somebody waits', async () => {
    const queue = new AsyncQueue<number>();
    queue.push(1);
    expect(await queue.next()).toEqual({ value: 1, done: false });
    const waiting = queue.next();
    queue.push(2);
    expect(await waiting).toEqual({ value: 2, done: false });
    expect(queue.length).toBe(0);
  });

  it('delivers what was pushed before its end, and nothing after', async () => {
    const queue = new AsyncQueue<number>();
    queue.push(1);
    queue.end();
    queue.push(2);
    const values = [];
    for await (const value of queue) values.push(value);
    expect(values).toEqual([1]);
  });

  it('delivers what was pushed before its failure', async () => {
    const queue = new AsyncQueue<number>();
    queue.push(1);
    queue.fail(new Error('broken'));
    expect((await queue.next()).value).toBe(1);
    await expect(queue.next()).rejects.toThrow('broken');
  });

  it('keeps its first end', async () => {
    const queue = new AsyncQueue<number>();
    queue.end();
    queue.fail(new Error('too late'));
    expect((await queue.next()).done).toBe(true);
  });

  it('wakes a waiting reader at the end', async () => {
    const queue = new AsyncQueue<number>();
    const waiting = queue.next();
    queue.end();
    expect((await waiting).done).toBe(true);
  });

  it('drops the rest when its reader leaves', async () => {
    const queue = new AsyncQueue<number>();
    queue.push(1);
    queue.push(2);
    for await (const _ of queue) break;
    expect(queue.length).toBe(0);
    expect((await queue.next()).done).toBe(true);
  });
});
