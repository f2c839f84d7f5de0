import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { StopMatcher } from './stop-matcher';

function run(stops: string[], pieces: string[]): { shown: string[]; stopped: boolean } {
  const matcher = new StopMatcher(stops);
  const shown: string[] = [];
  for (const piece of pieces) {
    const { text, stopped } = matcher.push(piece);
    shown.push(text);
    if (stopped) return { shown, stopped };
  }
  return { shown: [...shown, matcher.flush()], stopped: false };
}

/** The definition: of all occurrences the one that ends first, of those the longest. */
function textBeforeStop(stops: string[], text: string): string | undefined {
  for (let end = 1; end <= text.length; end += 1) {
    const matched = stops.filter((stop) => text.slice(0, end).endsWith(stop)).map((stop) => stop.length);
    if (matched.length > 0) return text.slice(0, end - Math.max(...matched));
  }
  return undefined;
}

describe('StopMatcher', () => {
  it.each([
    ['nothing to match', [], ['a', 'b'], ['a', 'b', ''], false],
    ['one piece', ['END'], ['one END two'], ['one '], true],
    ['across pieces', ['END'], ['one E', 'N', 'D two'], ['one ', '', ''], true],
    ['a beginning that leads nowhere', ['END'], ['one E', 'Nx'], ['one ', 'ENx', ''], false],
    ['held back to the end', ['END'], ['one EN'], ['one ', 'EN'], false],
    ['a failed match that begins another', ['aab'], ['aa', 'aab', 'b'], ['', 'aa'], true],
    ['the first to end of several', ['long tail', 'ng'], ['a long tail'], ['a lo'], true],
    ['the longest of those that end together', ['b', 'ab'], ['xab'], ['x'], true],
    ['a whole answer', ['x'], ['x'], [''], true],
    ['not only ASCII', ['界\n'], ['世', '界', '\n'], ['世', '', ''], true],
  ])('%s', (_name, stops, pieces, shown, stopped) => {
    expect(run(stops, pieces)).toEqual({ shown, stopped });
  });

  it('shows the same text however it is cut, and never holds back what cannot become a stop string', () => {
    const letters = fc.string({ unit: fc.constantFrom('a', 'b', 'c'), minLength: 1, maxLength: 5 });
    fc.assert(
      fc.property(fc.array(letters, { maxLength: 4 }), fc.array(letters, { maxLength: 12 }), (stops, pieces) => {
        const text = pieces.join('');
        const expected = textBeforeStop(stops, text);
        const { shown, stopped } = run(stops, pieces);
        expect(stopped).toBe(expected !== undefined);
        expect(shown.join('')).toBe(expected ?? text);

        const matcher = new StopMatcher(stops);
        let seen = '';
        let visible = '';
        for (const piece of stopped ? [] : pieces) {
          seen += piece;
          visible += matcher.push(piece).text;
          const held = seen.slice(visible.length);
          expect(held === '' || stops.some((stop) => stop.startsWith(held))).toBe(true);
        }
      }),
    );
  });
});
