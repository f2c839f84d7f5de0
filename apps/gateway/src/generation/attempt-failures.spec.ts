import { PangalacticError } from '@pangalactic/contracts';
import type { ErrorCode } from '@pangalactic/contracts';
import { describe, expect, it } from 'vitest';
import { AttemptFailures } from './attempt-failures';

const failed = (code: ErrorCode, pipelineId = 'p1', accepted = false, completionTokens = 0, begun = accepted) => ({
  pipelineId,
  error: new PangalacticError(code, code),
  accepted,
  completionTokens,
  begun,
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

  it('counts anew after each token: only attempts in a row that bring none are suspicious', () => {
    const failures = new AttemptFailures();
    const tokens = [0, 0, 1, 1, 5, 5, 5];
    const outcomes = tokens.map((count, n) =>
      failures.mayRetryAfter(failed('pipeline_broken', `p${n}`, true, count), []),
    );
    expect(outcomes).toEqual([true, true, true, true, true, true, false]);
  });

  it('lets a completion that has begun wait for a place on a full pipeline', () => {
    const failures = new AttemptFailures();
    expect(failures.mayRetryAfter(failed('queue_full', 'p1', false, 3, true), ['p1'])).toBe(true);
  });

  it('knows which pipelines will never work again', () => {
    const failures = new AttemptFailures();
    failures.mayRetryAfter(failed('pipeline_broken', 'broken'), []);
    failures.mayRetryAfter(failed('pipeline_not_found', 'forgotten'), []);
    failures.mayRetryAfter(failed('service_unavailable', 'unreachable'), []);
    failures.mayRetryAfter(failed('queue_full', 'full'), []);
    expect([...failures.lostPipelines]).toEqual(['broken', 'forgotten']);
    expect([...failures.failedPipelines]).toEqual(['broken', 'forgotten', 'unreachable', 'full']);
  });

  it('does not count pipelines that never accepted it', () => {
    const failures = new AttemptFailures();
    const outcomes = [1, 2, 3, 4, 5].map(() => failures.mayRetryAfter(failed('service_unavailable'), []));
    expect(outcomes).toEqual([true, true, true, true, true]);
    expect([...failures.failedPipelines]).toEqual(['p1']);
  });
});
