import { describe, expect, it } from 'vitest';
import { until } from './until';

describe('until', () => {
  it('returns the first truthy value', async () => {
    let calls = 0;
    expect(
      await until(() => (++calls >= 3 ? `call ${calls}` : undefined), { timeoutMs: 1000, message: '', intervalMs: 1 }),
    ).toBe('call 3');
  });

  it('names what it waited for, and keeps the last error as the cause', async () => {
    const cause = new Error('connection refused');
    const waiting = until(() => Promise.reject(cause), {
      timeoutMs: 20,
      message: () => 'the hub answers',
      intervalMs: 1,
    });
    await expect(waiting).rejects.toMatchObject({ message: 'not within 20 ms: the hub answers', cause });
  });

  it('asks at least once, also without time', async () => {
    expect(await until(() => true, { timeoutMs: 0, message: '' })).toBe(true);
  });

  it('ends at once when aborted', async () => {
    const stop = new AbortController();
    const waiting = until(() => false, { timeoutMs: 60_000, message: '', intervalMs: 60_000, signal: stop.signal });
    stop.abort();
    await expect(waiting).rejects.toMatchObject({ name: 'AbortError' });
  });
});
