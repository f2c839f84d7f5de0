import { describe, expect, it } from 'vitest';
import { RemoteResults } from './results-sender';

const output = (step: number) => ({ step, rows: [], samples: [], timings: [], computeMs: 0 });

describe('RemoteResults', () => {
  it('gives its one reader a result per step', async () => {
    const results = new RemoteResults(2);
    const reader = results.open();
    await results.output(output(1));
    expect((await reader.next()).value).toEqual({ ready: {} });
    expect((await reader.next()).value).toEqual({ result: { step: 1, samples: [], timings: [] } });
    expect(() => results.open()).toThrow(expect.objectContaining({ code: 'invalid_request' }));
  });

  it('holds no more results than steps may be in flight', async () => {
    const results = new RemoteResults(2);
    const reader = results.open();
    await reader.next();
    for (const step of [1, 2, 3]) await results.output(output(step));
    await expect(results.output(output(4))).rejects.toMatchObject({
      code: 'invalid_frame',
      message: 'step 4 is beyond the 2 steps allowed in flight',
    });
  });
});
