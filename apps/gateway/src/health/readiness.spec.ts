import { describe, expect, it } from 'vitest';
import { READY_GRACE_MS, unreadyReason } from './readiness';

describe('unreadyReason', () => {
  it.each([
    ['before the hub has answered', undefined, undefined, 'no route table yet: the hub has not answered'],
    ['with nothing deployed', false, undefined, null],
    ['while a pipeline is ready', true, 0, null],
    ['right after the last pipeline broke', true, READY_GRACE_MS, null],
    ['when none came back in time', true, READY_GRACE_MS + 1, 'models are deployed, but no pipeline is ready'],
    ['when none was ever ready', true, undefined, 'models are deployed, but no pipeline is ready'],
  ])('%s', (_name, hasDeployments, sinceLastReadyMs, expected) => {
    const table = hasDeployments === undefined ? undefined : { hasDeployments };
    expect(unreadyReason({ table, sinceLastReadyMs })).toBe(expected);
  });
});
