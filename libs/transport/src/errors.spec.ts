import { Metadata, status as Status } from '@grpc/grpc-js';
import { ERROR_CATALOGUE, isErrorCode, PangalacticError } from '@pangalactic/contracts';
import { describe, expect, it } from 'vitest';
import { fromCallStatus, toServiceError } from './errors';

const ADDRESS = 'node-1:7200';

describe('errors on the wire', () => {
  it.each(Object.keys(ERROR_CATALOGUE).filter(isErrorCode))('%s survives the round trip', (code) => {
    const details = { retryAfterSeconds: 3, redirectTo: 'hub-2:7100' };
    const failure = toServiceError(new PangalacticError(code, 'what happened', details));
    expect(failure.code).toBe(ERROR_CATALOGUE[code].grpc);
    const received = fromCallStatus(failure, ADDRESS);
    expect(received).toMatchObject({ code, message: 'what happened', ...details });
  });

  it('has neither retry-after nor redirection unless they were set', () => {
    const failure = toServiceError(new PangalacticError('queue_full', 'full'));
    const received = fromCallStatus(failure, ADDRESS);
    expect([received.retryAfterSeconds, received.redirectTo]).toEqual([undefined, undefined]);
  });

  it.each([new TypeError('x is undefined'), 'a string', undefined, { code: 5 }])(
    'turns the unexpected into internal_error: %s',
    (thrown) => {
      const failure = toServiceError(thrown);
      expect(failure.code).toBe(Status.INTERNAL);
      expect(failure.metadata.get('pangalactic-error-code')).toEqual(['internal_error']);
    },
  );

  it('keeps the text fit for a header', () => {
    const { details } = toServiceError(new PangalacticError('invalid_request', `\ud83d${'x'.repeat(100_000)}`));
    expect(() => encodeURI(details)).not.toThrow();
    expect(details.length).toBeLessThanOrEqual(2_000);
  });

  it.each([
    [Status.UNAVAILABLE, 'No connection established', 'service_unavailable'],
    // A peer that is killed or forced to stop cancels its calls: that is not our cancellation.
    [Status.CANCELLED, 'Call cancelled', 'service_unavailable'],
    [Status.DEADLINE_EXCEEDED, 'Deadline exceeded', 'deadline_exceeded'],
    [Status.RESOURCE_EXHAUSTED, 'Received message larger than max (6 vs 5)', 'payload_too_large'],
    [Status.RESOURCE_EXHAUSTED, 'Bandwidth exhausted', 'service_unavailable'],
    [Status.UNIMPLEMENTED, 'The server does not implement it', 'internal_error'],
    [Status.INTERNAL, '', 'internal_error'],
  ])('names the peer when the transport failed with %i "%s"', (code, details, expected) => {
    const error = fromCallStatus({ code, details, metadata: new Metadata() }, ADDRESS);
    expect(error.code).toBe(expected);
    expect(error.message).toContain(ADDRESS);
    expect(error.message).toContain(details || 'INTERNAL');
  });

  it('does not trust a code that is not in the catalogue', () => {
    const metadata = new Metadata();
    metadata.set('pangalactic-error-code', 'toString');
    expect(fromCallStatus({ code: Status.UNAVAILABLE, details: 'x', metadata }, ADDRESS).code).toBe(
      'service_unavailable',
    );
  });
});
