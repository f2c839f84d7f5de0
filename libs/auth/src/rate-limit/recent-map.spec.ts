import { describe, expect, it } from 'vitest';
import { RecentMap } from './recent-map';

describe('RecentMap', () => {
  it('keeps what is used, for its lifetime and less than twice as long', () => {
    let created = 0;
    const map = new RecentMap(1_000, 100, () => ++created);
    const first = map.use('a', 0);
    for (const now of [50, 100, 199]) expect(map.use('a', now)).toBe(first);
    // Seen in this generation at 199, and in the last one at 100: the young one began then.
    map.use('b', 298);
    expect(map.get('a')).toBe(first);
    map.use('c', 400);
    expect(map.get('a')).toBeUndefined();
    expect(map.use('a', 400)).not.toBe(first);
  });

  it('holds no more than its maximum, and those that are used the longest', () => {
    const forgotten: string[] = [];
    let next = '';
    const map = new RecentMap<string>(
      100,
      1_000,
      () => next,
      (key) => forgotten.push(key),
    );
    const use = (key: string) => {
      next = key;
      return map.use(key, 0);
    };
    for (let key = 0; key < 1_000; key++) {
      use(`passing ${key}`);
      expect(use('steady')).toBe('steady');
      expect(map.size).toBeLessThanOrEqual(100);
    }
    expect(forgotten).not.toContain('steady');
    expect(forgotten.length + map.size).toBe(1_001);
    expect(map.get('passing 999')).toBe('passing 999');
    expect(new Map(map.entries()).size).toBe(map.size);
  });
});
