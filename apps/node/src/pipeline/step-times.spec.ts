import { describe, expect, it } from 'vitest';
import { StepTimes } from './step-times';

const row = (slot: number, count: number) => ({ slot, generation: 1, start: 0, count, sample: true });

describe('StepTimes', () => {
  it('keeps decode steps and prefill tokens apart', () => {
    const times = new StepTimes();
    expect([times.decodeStepMs, times.prefillTokenMs]).toEqual([0, 0]);
    times.observe([row(0, 64)], 128);
    times.observe([row(0, 1), row(1, 1)], 7);
    expect([times.decodeStepMs, times.prefillTokenMs]).toEqual([7, 2]);
  });

  it('keeps decode steps of one sequence apart, whose time does not depend on the load', () => {
    const times = new StepTimes();
    times.observe([row(0, 1), row(1, 1)], 7);
    expect(times.singleDecodeMs).toBe(0);
    times.observe([row(0, 1)], 3);
    expect([times.singleDecodeMs, times.decodeStepMs]).toEqual([3, 7 - 0.2 * 4]);
  });

  it('moves towards newer steps', () => {
    const times = new StepTimes();
    times.observe([row(0, 1)], 10);
    for (let index = 0; index < 30; index++) times.observe([row(0, 1)], 20);
    expect(times.decodeStepMs).toBeGreaterThan(19);
    expect(times.decodeStepMs).toBeLessThan(20);
  });
});
