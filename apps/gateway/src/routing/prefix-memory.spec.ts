import { describe, expect, it } from 'vitest';
import { PrefixMemory, type PromptPrefix } from './prefix-memory';

const prefixes = (...keys: string[]): PromptPrefix[] =>
  keys.map((key, index) => ({ key, share: (index + 1) / keys.length }));

describe('PrefixMemory', () => {
  it('knows who has most of a prompt, and who has the part that all share', () => {
    const memory = new PrefixMemory();
    memory.learn(prefixes('system', 'system+question'), 'a');
    memory.learn(prefixes('system', 'system+other'), 'b');
    const share = memory.lookUp(prefixes('system', 'system+question', 'system+question+answer', 'all'));
    expect([share('a'), share('b'), share('c')]).toEqual([0.5, 0.25, 0]);
  });

  it('forgets what was not used for longest', () => {
    const memory = new PrefixMemory(3);
    memory.learn(prefixes('x'), 'a');
    memory.learn(prefixes('y'), 'a');
    memory.learn(prefixes('x', 'z', 'w'), 'b');
    const has = (key: string) => ['a', 'b'].filter((id) => memory.lookUp(prefixes(key))(id) > 0).join();
    expect(['w', 'x', 'y', 'z'].map(has)).toEqual(['b', 'b', '', 'b']);
  });
});
