import { describe, expect, it } from 'vitest';
import { formatJournal, parseJournal } from './journal';

const JOURNAL = {
  identity: { bytes: 100, version: 'abc' },
  received: [
    { from: 0, to: 10 },
    { from: 20, to: 100 },
  ],
};

describe('the journal', () => {
  it('is read as it was written', () => {
    expect(parseJournal(formatJournal(JOURNAL))).toEqual(JOURNAL);
  });

  const text = (changes: object) => JSON.stringify({ ...(JSON.parse(formatJournal(JOURNAL)) as object), ...changes });

  it.each([
    ['nothing', ''],
    ['a text that was cut', formatJournal(JOURNAL).slice(0, -3)],
    ['a later format', text({ format: 2 })],
    ['a range beyond the end', text({ received: [[0, 101]] })],
    ['an empty range', text({ received: [[5, 5]] })],
    [
      'ranges out of order',
      text({
        received: [
          [20, 30],
          [0, 10],
        ],
      }),
    ],
    [
      'ranges that overlap',
      text({
        received: [
          [0, 10],
          [5, 20],
        ],
      }),
    ],
    ['negative positions', text({ received: [[-1, 10]] })],
    ['fractions', text({ received: [[0, 1.5]] })],
  ])('is ignored if it is %s', (_name, content) => {
    expect(parseJournal(content)).toBeUndefined();
  });
});
