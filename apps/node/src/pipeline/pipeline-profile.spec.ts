import { describe, expect, it } from 'vitest';
import { PipelineProfile } from './pipeline-profile';

const timing = (waitMs: number, computeMs: number) => ({ waitMs, computeMs });

describe('PipelineProfile', () => {
  it('takes for transfer what no stage waited or computed', () => {
    const profile = new PipelineProfile();
    profile.sent('decode', 100);
    expect(profile.answered([timing(1, 10), timing(0, 12)], 127)).toEqual({
      phase: 'decode',
      computeMs: [10, 12],
      transferMs: 4,
      availableMs: 54,
    });
  });

  it('counts the time between results once, however many steps are in flight, and idle time not at all', () => {
    const profile = new PipelineProfile();
    profile.sent('prefill', 0);
    profile.sent('decode', 5);
    const first = profile.answered([timing(0, 10), timing(0, 10)], 20);
    const second = profile.answered([timing(5, 10), timing(0, 10)], 30);
    expect(first.availableMs + second.availableMs).toBe(60);
    expect([first.phase, second.phase]).toEqual(['prefill', 'decode']);
    profile.sent('decode', 1_000);
    expect(profile.answered([timing(0, 4), timing(0, 4)], 1_010).availableMs).toBe(20);
  });

  it('never reports a negative transfer', () => {
    const profile = new PipelineProfile();
    profile.sent('decode', 0);
    expect(profile.answered([timing(0, 10)], 9).transferMs).toBe(0);
  });
});
