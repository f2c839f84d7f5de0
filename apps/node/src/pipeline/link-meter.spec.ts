import { until } from '@pangalactic/testing';
import { describe, expect, it } from 'vitest';
import { LinkMeter } from './link-meter';

describe('LinkMeter', () => {
  it('measures with care at first, then again and again, and follows what changes until it is stopped', async () => {
    const asked: number[] = [];
    const stop = new AbortController();
    const meter = new LinkMeter((rounds) => {
      asked.push(rounds);
      if (asked.length === 2) return Promise.reject(new Error('the link is busy'));
      return Promise.resolve({ nodeId: 'b', roundTripMs: asked.length === 1 ? 1 : 9, bytesPerSecond: 5 });
    }, 1);
    expect(meter.times).toBeUndefined();
    const running = meter.run(stop.signal);
    await until(() => (meter.times?.roundTripMs ?? 0) > 8.9, { timeoutMs: 10_000, intervalMs: 5, message: '9 ms' });
    stop.abort();
    await running;
    expect(asked.slice(0, 4)).toEqual([3, 1, 1, 1]);
    expect(meter.times).toMatchObject({ nodeId: 'b', bytesPerSecond: 5 });
  });
});
