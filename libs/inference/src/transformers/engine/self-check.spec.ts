import { describe, expect, it } from 'vitest';
import { InferenceSession } from '../onnxruntime';
import { openGraphSession, type OpenGraphSession } from './graph-session';
import { inPlaceKvFailure } from './self-check';

/** Sessions in place, except that something happens to the outputs of each run. */
const spoiltBy =
  (spoil: (outputs: Record<string, Float32Array>) => void): OpenGraphSession =>
  async (graph, options) => {
    const session = await openGraphSession(graph, options);
    return {
      run: async (inputs, outputs) => {
        const results = await session.run(inputs, outputs);
        spoil(Object.fromEntries(Object.entries(outputs).map(([name, { data }]) => [name, data as Float32Array])));
        return results;
      },
      close: () => session.close(),
    };
  };

describe('inPlaceKvFailure', () => {
  it('finds nothing wrong with this onnxruntime-node', async () => {
    expect(await inPlaceKvFailure()).toBeUndefined();
  });

  it('notices that pre-allocated outputs are written and then copied', async () => {
    const copying: OpenGraphSession = async (graph) => {
      const session = await InferenceSession.create(graph, { executionProviders: ['cpu'], intraOpNumThreads: 1 });
      return { run: (inputs, outputs) => session.run(inputs, outputs), close: () => session.release() };
    };
    expect(await inPlaceKvFailure(copying)).toMatch(/^a run takes [\d.]+ ms, as if the cache were copied$/);
  });

  it('notices that pre-allocated outputs stay as they were', async () => {
    const elsewhere: OpenGraphSession = async (graph) => {
      const session = await InferenceSession.create(graph, { executionProviders: ['cpu'], intraOpNumThreads: 1 });
      return { run: (inputs, outputs) => session.run(inputs, Object.keys(outputs)), close: () => session.release() };
    };
    expect(await inPlaceKvFailure(elsewhere)).toBe('the attention was not written');
  });

  it.each(['present_key', 'present_value'])('notices that the rest of %s is touched', async (name) => {
    const touched = spoiltBy((outputs) => outputs[name]!.fill(0, -1));
    expect(await inPlaceKvFailure(touched)).toBe('the cache was not written as it should be');
  });

  it('takes an error for a failure', async () => {
    const broken = spoiltBy(() => {
      throw new Error('Invalid rank for input');
    });
    expect(await inPlaceKvFailure(broken)).toBe('Invalid rank for input');
  });
});
