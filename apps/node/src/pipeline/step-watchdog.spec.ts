import type { HeadStep, StepPhase } from '@pangalactic/inference';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { StepDeadline } from './step-deadline';
import { StepWatchdog } from './step-watchdog';

const OPTIONS = { floorMs: 100, initialMs: 1_000, margin: 10 };

function step(number: number, phase: StepPhase = 'decode', tokens = 1): HeadStep {
  const rows = [{ slot: 0, generation: 1, start: 0, count: tokens, sample: true }];
  return { kind: 'step', step: number, phase, rows, tokenIds: new Uint32Array(tokens) };
}

describe('StepWatchdog', () => {
  let missed: string[];
  let watchdog: StepWatchdog;

  beforeEach(() => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval', 'performance'] });
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

  it('gives a step behind another the time since it was sent, too', () => {
    watchdog.sent(step(1));
    vi.advanceTimersByTime(400);
    watchdog.sent(step(2));
    vi.advanceTimersByTime(500);
    watchdog.answered();
    // 900 ms are expected now: ten times that is allowed, of which 500 have passed. The looks after that are at 9,500 and 9,750.
    vi.advanceTimersByTime(8_500 + 349);
    expect(missed).toEqual([]);
    vi.advanceTimersByTime(1);
    expect(missed).toEqual([expect.stringMatching(/^step 2 .* within 9000 ms$/)]);
  });

  it('allows a step alone in the pipeline what the steps of a full one took, from sending to result', () => {
    const [stages, stepMs] = [8, 10];
    for (let number = 1; number <= stages; number++) watchdog.sent(step(number));
    vi.advanceTimersByTime((stages - 1) * stepMs);
    for (let number = stages + 1; number < 100; number++) {
      vi.advanceTimersByTime(stepMs);
      watchdog.answered();
      watchdog.sent(step(number));
    }
    for (let left = stages; left > 0; left--) {
      vi.advanceTimersByTime(stepMs);
      watchdog.answered();
    }
    watchdog.sent(step(100));
    vi.advanceTimersByTime(100_000);
    expect(missed).toEqual([expect.stringMatching(/^step 100 .* within 800 ms$/)]);
  });

  it('says nothing more once it is stopped', () => {
    watchdog.sent(step(1));
    watchdog.stop();
    watchdog.answered();
    vi.advanceTimersByTime(10_000);
    expect(missed).toEqual([]);
  });
});
