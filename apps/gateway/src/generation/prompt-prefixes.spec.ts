import { describe, expect, it } from 'vitest';
import type { Prompt } from './prompt';
import { promptPrefixes } from './prompt-prefixes';

const chat = (...contents: string[]): Prompt => ({
  kind: 'chat',
  messages: contents.map((content, index) => ({ role: index % 2 ? 'assistant' : 'user', content })),
});
const keys = (prompt: Prompt, model = 'nano') => promptPrefixes(model, prompt).map(({ key }) => key);
const shared = (one: Prompt, other: Prompt) => keys(other).filter((key) => keys(one).includes(key)).length;
const text = (length: number, end = ''): Prompt => ({ kind: 'text', text: 'x'.repeat(length) + end });
const tokens = (length: number, ...end: number[]): Prompt => ({
  kind: 'tokens',
  ids: [...Array.from({ length }, (_, index) => index), ...end],
});

describe('promptPrefixes', () => {
  it.each<[string, Prompt, Prompt, number]>([
    ['turns of one conversation', chat('a', 'b', 'c'), chat('a', 'b', 'c', 'd', 'e'), 3],
    ['a chat whose last message is another one', chat('a', 'b', 'c'), chat('a', 'b', 'x'), 2],
    ['different chats', chat('a', 'b'), chat('x', 'b'), 0],
    ['texts that begin alike, block by block', text(2_048), text(2_048, 'more'), 2],
    ['texts whose first block differs', text(1_000, 'a'), text(1_000, 'b'), 0],
    ['lists of tokens', tokens(512, 7), tokens(512, 8, 9), 2],
  ])('finds what is shared by %s', (_case, one, other, count) => expect(shared(one, other)).toBe(count));

  it('keeps models apart, and says how much of the prompt a beginning is', () => {
    expect(keys(chat('a'), 'other')).not.toEqual(keys(chat('a')));
    expect(promptPrefixes('nano', text(4_096)).map(({ share }) => share)).toEqual([0.25, 0.5, 0.75, 1]);
  });

  it('remembers the first part and the last ones of a long prompt', () => {
    const long = text(100 * 1_024);
    expect(promptPrefixes('nano', long)).toHaveLength(9);
    expect(shared(long, text(101 * 1_024))).toBe(8);
  });
});
