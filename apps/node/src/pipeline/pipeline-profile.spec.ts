import { describe, expect, it } from 'vitest';
import { PipelineProfile } from './pipeline-profile';

const timing = (waitMs: number, computeMs: number) => ({ waitMs, computeMs });

describe('PipelineProfile', () => {
  it('takes for transfer what no stage waited or computed, split over the hops and the result', () => {
    const profile = new PipelineProfile();
    profile.sent(100);
    expect(profile.answered([timing(1, 10), timing(0, 10)], 127)).toEqual({
      hopTransferMs: 3,
      availableMs: 54,
      computingMs: 20,
    });
  });

  it('counts the time between results once, however many steps are in flight, and idle time not at all', () => {
    const profile = new PipelineProfile();
    profile.sent(0);
    profile.sent(5);
    const first = profile.answered([timing(0, 10), timing(0, 10)], 20);
    const second = profile.answered([timing(5, 10), timing(0, 10)], 30);
    expect(first.availableMs + second.availableMs).toBe(60);
    expect(first.computingMs + second.computingMs).toBe(40);
    profile.sent(1_000);
    expect(profile.answered([timing(0, 4), timing(0, 4)], 1_010).availableMs).toBe(20);
  });

  it('never reports a negative transfer', () => {
    const profile = new PipelineProfile();
    profile.sent(0);
    expect(profile.answered([timing(0, 10)], 9).hopTransferMs).toBe(0);
  });
});
