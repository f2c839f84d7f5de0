import type { HeadStep, StepPhase } from '@pangalactic/inference';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { StepDeadline } from './step-deadline';
import { StepWatchdog } from './step-watchdog';

const OPTIONS = { floorMs: 100, initialMs: 1_000, margin: 10 };

function step(number: number, phase: StepPhase = 'decode', tokens = 1): HeadStep {
  const rows = [{ slot: 0, generation: 1, start: 0, count: tokens, sample: true }];
  return { kind: 'step', step: number, phase, rows, tokenIds: new Uint32Array(tokens) };
}

describe('StepDeadline', () => {
  it('is generous before the first measurement, of each kind of step', () => {
    const deadline = new StepDeadline(OPTIONS);
    deadline.observe('decode', 1, 30);
    expect(deadline.allowedMs('prefill', 128)).toBe(1_000);
    expect(deadline.allowedMs('decode', 1)).toBe(300);
  });

  it('scales with the tokens of a step', () => {
    const deadline = new StepDeadline(OPTIONS);
    deadline.observe('prefill', 100, 200);
    expect(deadline.allowedMs('prefill', 64)).toBe(10 * 2 * 64);
  });

  it('never falls below its floor', () => {
    const deadline = new StepDeadline(OPTIONS);
    deadline.observe('decode', 8, 1);
    expect(deadline.allowedMs('decode', 1)).toBe(100);
  });

  it('follows steps that get slower', () => {
    const deadline = new StepDeadline(OPTIONS);
    for (let index = 0; index < 50; index++) deadline.observe('decode', 1, 20);
    for (let index = 0; index < 50; index++) deadline.observe('decode', 1, 60);
    expect(deadline.allowedMs('decode', 1)).toBeCloseTo(600, 0);
  });
});

describe('StepWatchdog', () => {
  let missed: string[];
  let watchdog: StepWatchdog;

  beforeEach(() => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
    missed = [];
    watchdog = new StepWatchdog(new StepDeadline(OPTIONS), (reason) => missed.push(reason));
  });
  afterEach(() => void vi.useRealTimers());

  it('reports a step without a result, after a grace for our own stalls', () => {
    watchdog.sent(step(7, 'prefill', 64));
    vi.advanceTimersByTime(1_249);
    expect(missed).toEqual([]);
    vi.advanceTimersByTime(1);
    expect(missed).toEqual(['step 7 (prefill, 1 rows, 64 tokens) had no result within 1000 ms']);
  });

  it('is silent while results come', () => {
    for (let number = 1; number < 50; number++) {
      watchdog.sent(step(number));
      vi.advanceTimersByTime(90);
      watchdog.answered();
    }
    vi.advanceTimersByTime(100_000);
    expect(missed).toEqual([]);
  });

  it('starts the clock of a step behind another when that one is answered', () => {
    watchdog.sent(step(1));
    watchdog.sent(step(2));
    vi.advanceTimersByTime(900);
    watchdog.answered();
    // 900 ms for one token are expected now: ten times that is allowed.
    vi.advanceTimersByTime(9_000);
    expect(missed).toEqual([]);
    vi.advanceTimersByTime(250);
    expect(missed).toHaveLength(1);
    expect(missed[0]).toMatch(/^step 2 .* within 9000 ms$/);
  });

  it('measures a step from the result before it', () => {
    watchdog.sent(step(1));
    watchdog.sent(step(2));
    vi.advanceTimersByTime(50);
    watchdog.answered();
    vi.advanceTimersByTime(50);
    watchdog.answered();
    watchdog.sent(step(3));
    vi.advanceTimersByTime(750);
    expect(missed[0]).toMatch(/within 500 ms/);
  });

  it('says nothing more once it is stopped', () => {
    watchdog.sent(step(1));
    watchdog.stop();
    watchdog.answered();
    vi.advanceTimersByTime(10_000);
    expect(missed).toEqual([]);
  });
});
