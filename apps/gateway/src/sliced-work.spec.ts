import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Steps } from '@pangalactic/tokenizer';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { SlicedWork } from './sliced-work';

const CLIENT = new AbortController().signal;

/** Steps of a millisecond each. */
function* steps(count: number, log: string[] = [], name = ''): Steps<string> {
  for (let step = 1; step < count; step += 1) {
    vi.advanceTimersByTime(1);
    log.push(name);
    yield;
  }
  return `${name} done`;
}

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['performance'] });
});
afterEach(() => {
  vi.useRealTimers();
});

describe('SlicedWork', () => {
  it('leaves the event loop to others after every 5 ms', async () => {
    const log: string[] = [];
    let running = true;
    const work = new SlicedWork().run(steps(21, log, 'a'), CLIENT).finally(() => (running = false));
    while (running) {
      log.push('|');
      await nextTurn();
    }
    expect(log.join('')).toBe('|aaaaa|aaaaa|aaaaa|aaaaa|');
    expect(await work).toBe('a done');
  });

  it('goes on with each job in turn, and does several short ones at once', async () => {
    const work = new SlicedWork();
    const log: string[] = [];
    const long = work.run(steps(11, log, 'a'), CLIENT);
    const others = ['b', 'c', 'd'].map((name) => work.run(steps(2, log, name), CLIENT));
    await Promise.all([long, ...others]);
    expect(log.join('')).toBe('aaaaabcdaaaaa');
  });

  it('drops the job of a client that left', async () => {
    const client = new AbortController();
    const log: string[] = [];
    const work = new SlicedWork();
    const dropped = work.run(steps(100, log, 'a'), client.signal);
    await nextTurn();
    client.abort(new Error('gone'));
    await expect(dropped).rejects.toThrow('gone');
    expect(log.length).toBeLessThan(20);
    expect(await work.run(steps(3, [], 'b'), CLIENT)).toBe('b done');
  });

  it('passes on what a step throws', async () => {
    const work = new SlicedWork();
    const failing = function* (): Steps<void> {
      throw new Error('bad prompt');
    };
    await expect(work.run(failing(), CLIENT)).rejects.toThrow('bad prompt');
    expect(await work.run(steps(1, [], 'b'), CLIENT)).toBe('b done');
  });

  it('takes a bounded number of jobs', async () => {
    const work = new SlicedWork();
    const jobs = Array.from({ length: 1024 }, () => work.run(steps(1), CLIENT));
    expect(() => work.run(steps(1), CLIENT)).toThrow(expect.objectContaining({ code: 'queue_full' }));
    await Promise.all(jobs);
    await work.run(steps(1), CLIENT);
  });
});
