import { describe, expect, it } from 'vitest';
import { TransferRate } from './transfer-rate';

describe('TransferRate', () => {
  it('says nothing before it has seen time pass', () => {
    const rate = new TransferRate(1000);
    rate.observe(0, 400);
    expect([rate.bytesPerSecond, rate.secondsLeft]).toEqual([0, undefined]);
  });

  it('does not count what was there at the start', () => {
    const rate = new TransferRate(1000);
    rate.observe(0, 400);
    rate.observe(2_000, 600);
    expect([rate.bytesPerSecond, rate.secondsLeft]).toEqual([100, 4]);
  });

  it('forgets how fast it was long ago', () => {
    const rate = new TransferRate(100_000);
    for (let second = 0; second <= 10; second++) rate.observe(second * 1000, second * 5_000);
    for (let second = 11; second <= 30; second++) rate.observe(second * 1000, 50_000 + (second - 10) * 100);
    expect(rate.bytesPerSecond).toBe(100);
  });

  it('notices that nothing comes any more', () => {
    const rate = new TransferRate(1000);
    rate.observe(0, 0);
    rate.observe(1_000, 500);
    rate.observe(60_000, 500);
    rate.observe(61_000, 500);
    rate.observe(72_000, 500);
    expect([rate.bytesPerSecond, rate.secondsLeft]).toEqual([0, undefined]);
  });
});
