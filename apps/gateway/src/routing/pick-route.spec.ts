import { describe, expect, it } from 'vitest';
import { pickRoute } from './pick-route';
import type { PipelineRoute } from './route-table';

const route = (pipelineId: string, maxSequences = 8): PipelineRoute => ({
  pipelineId,
  modelId: 'm',
  fingerprint: 'f',
  contextLength: 512,
  maxSequences,
  readyAt: 0,
  addresses: ['node:7200'],
});

const pick = (
  routes: PipelineRoute[],
  outstanding: Record<string, number>,
  { lot = 0, cached = {} }: { lot?: number; cached?: Record<string, number> } = {},
) => {
  const facts = { outstanding: (id: string) => outstanding[id] ?? 0, cachedShare: (id: string) => cached[id] ?? 0 };
  return pickRoute(routes, facts, lot)?.pipelineId;
};

describe('pickRoute', () => {
  it('takes the one with the least outstanding work', () => {
    expect(pick([route('a'), route('b'), route('c')], { a: 2, b: 1, c: 3 })).toBe('b');
  });

  it('measures work against the size of the pipeline', () => {
    expect(pick([route('small', 2), route('large', 16)], { small: 1, large: 4 })).toBe('large');
  });

  it('draws lots between equals', () => {
    const routes = [route('a'), route('b')];
    expect([0, 0.49, 0.5, 0.99].map((lot) => pick(routes, {}, { lot }))).toEqual(['a', 'a', 'b', 'b']);
  });

  it.each<[string, Record<string, number>, Record<string, number>, string]>([
    ['stays where its prompt is cached', { a: 1, b: 0 }, { a: 0.9 }, 'a'],
    ['stays there up to a quarter of the slots more', { a: 2, b: 0 }, { a: 1 }, 'a'],
    ['P5: goes to one that is clearly less busy', { a: 3, b: 0 }, { a: 1 }, 'b'],
    ['P7: does not come back for a small difference', { a: 2, b: 3 }, { b: 1 }, 'b'],
    ['is not drawn by a beginning that all prompts share', { a: 1, b: 0 }, { a: 0.1 }, 'b'],
    ['goes where most of it is', { a: 0, b: 0 }, { a: 0.3, b: 0.6 }, 'b'],
    ['goes on when the one that had it is gone', { b: 5 }, { c: 1 }, 'a'],
  ])('%s', (_case, outstanding, cached, expected) => {
    expect(pick([route('a'), route('b')], outstanding, { cached })).toBe(expected);
  });

  it('finds nothing among none', () => {
    expect(pick([], {})).toBeUndefined();
  });
});
