import { describe, expect, it } from 'vitest';
import { LoadPatience } from './load-patience';

describe('LoadPatience', () => {
  it.each<[string, [progress: number, at: number][], boolean]>([
    ['without a sign of life', [], true],
    ['as soon as the load begins', [[0, 60]], false],
    [
      'as long as it goes on',
      [
        [0, 10],
        [0.2, 90],
        [1.1, 180],
        [1.2, 260],
      ],
      false,
    ],
    [
      'when it stands still',
      [
        [0.2, 10],
        [0.2, 90],
        [0.2, 180],
      ],
      true,
    ],
    [
      'when it falls back',
      [
        [0.2, 10],
        [0.1, 180],
      ],
      true,
    ],
  ])('is over or not, after 100 ms each: %s', (_case, heard, over) => {
    const patience = new LoadPatience(100, Infinity, 0);
    for (const [progress, at] of heard) patience.progress(progress, at);
    expect(patience.isOver(Math.max(101, heard.at(-1)?.[1] ?? 0))).toBe(over);
  });

  it('is over sooner when nobody answers', () => {
    const patience = new LoadPatience(100, 10, 0);
    expect([10, 11].map((at) => patience.isOver(at))).toEqual([false, true]);
    patience.heard(11);
    patience.progress(0.5, 20);
    expect([30, 31].map((at) => patience.isOver(at))).toEqual([false, true]);
  });
});
