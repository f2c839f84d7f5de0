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

const pick = (routes: PipelineRoute[], outstanding: Record<string, number>, lot = 0) =>
  pickRoute(routes, (id) => outstanding[id] ?? 0, lot)?.pipelineId;

describe('pickRoute', () => {
  it('takes the one with the least outstanding work', () => {
    expect(pick([route('a'), route('b'), route('c')], { a: 2, b: 1, c: 3 })).toBe('b');
  });

  it('measures work against the size of the pipeline', () => {
    expect(pick([route('small', 2), route('large', 16)], { small: 1, large: 4 })).toBe('large');
  });

  it('draws lots between equals', () => {
    const routes = [route('a'), route('b')];
    expect([0, 0.49, 0.5, 0.99].map((lot) => pick(routes, {}, lot))).toEqual(['a', 'a', 'b', 'b']);
  });

  it('finds nothing among none', () => {
    expect(pick([], {})).toBeUndefined();
  });
});
