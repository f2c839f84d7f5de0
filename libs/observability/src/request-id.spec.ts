import { describe, expect, it } from 'vitest';
import { requestIdFrom } from './request-id';

describe('requestIdFrom', () => {
  it.each(['a', 'req-123_4.5:6', '0e7a9f52-7a35-4c1e-8b9e-1c1f6f1f0d0b', 'x'.repeat(128)])('keeps %s', (id) => {
    expect(requestIdFrom({ 'x-request-id': id })).toBe(id);
  });

  it.each([undefined, '', 'x'.repeat(129), 'a b', 'a\nb', 'ä', '{"a":1}', '<script>'])('replaces %j', (id) => {
    const ids = [1, 2].map(() => requestIdFrom({ 'x-request-id': id }));
    expect(ids[0]).toMatch(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
    expect(ids[0]).not.toBe(ids[1]);
  });
});
