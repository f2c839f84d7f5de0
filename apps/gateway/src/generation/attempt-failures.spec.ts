import { PangalacticError } from '@pangalactic/contracts';
import type { ErrorCode } from '@pangalactic/contracts';
import { describe, expect, it } from 'vitest';
import { AttemptFailures } from './attempt-failures';

const failed = (code: ErrorCode, pipelineId = 'p1', accepted = false) => ({
  pipelineId,
  error: new PangalacticError(code, code),
  accepted,
});

describe('AttemptFailures', () => {
  it.each<[ErrorCode, boolean]>([
    ['pipeline_broken', true],
    ['pipeline_not_found', true],
    ['service_unavailable', true],
    ['context_length_exceeded', false],
    ['invalid_request', false],
    ['invalid_frame', false],
    ['internal_error', false],
    ['cancelled', false],
  ])('after %s another attempt is worth it: %s', (code, expected) => {
    expect(new AttemptFailures().mayRetryAfter(failed(code), ['p1'])).toBe(expected);
  });

  it('tries a full pipeline only while another has not refused', () => {
    const failures = new AttemptFailures();
    expect(failures.mayRetryAfter(failed('queue_full', 'p1'), ['p1', 'p2'])).toBe(true);
    expect(failures.mayRetryAfter(failed('queue_full', 'p2'), ['p1', 'p2'])).toBe(false);
  });

  it('gives up on a request that broke three pipelines which had accepted it', () => {
    const failures = new AttemptFailures();
    const outcomes = [1, 2, 3].map((n) => failures.mayRetryAfter(failed('pipeline_broken', `p${n}`, true), []));
    expect(outcomes).toEqual([true, true, false]);
  });

  it('does not count pipelines that never accepted it', () => {
    const failures = new AttemptFailures();
    const outcomes = [1, 2, 3, 4, 5].map(() => failures.mayRetryAfter(failed('service_unavailable'), []));
    expect(outcomes).toEqual([true, true, true, true, true]);
    expect([...failures.failedPipelines]).toEqual(['p1']);
  });
});
