import { join } from 'node:path';
import { repositoryRoot } from '@pangalactic/contracts';
import { readGgufHeader } from '@pangalactic/models';
import { ModelTokenizer } from '@pangalactic/tokenizer';
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { CompletionText } from './completion-text';
import type { MatchedPiece } from './completion-text';

const IM_END = 2;
const logprobs = { logprob: -1, top: [{ id: IM_END, logprob: -0.5 }] };

let tokenizer: ModelTokenizer;
beforeAll(async () => {
  const { header } = await readGgufHeader(join(repositoryRoot(), 'models/pangalactic-nano.gguf'));
  tokenizer = ModelTokenizer.fromGguf(header);
});

const encode = (text: string) => tokenizer.encode(text, { addSpecial: false, parseSpecial: false });

/** Pieces until a stop string or the end. */
function run(ids: readonly number[], stops: readonly string[] = []): MatchedPiece[] {
  const text = new CompletionText(tokenizer, stops);
  const pieces: MatchedPiece[] = [];
  for (const id of ids) {
    pieces.push(text.push(id, logprobs));
    if (pieces.at(-1)!.stopped) return pieces;
  }
  return [...pieces, text.finish()];
}

const shown = (pieces: readonly MatchedPiece[]) => pieces.map(({ text }) => text).join('');
const tokens = (pieces: readonly MatchedPiece[]) => pieces.flatMap((piece) => piece.tokens);

describe('the scores of a completion', () => {
  it('come with the text of their tokens', () => {
    const ids = encode('one two');
    const pieces = run(ids);
    expect(pieces.slice(0, -1).map((piece) => piece.tokens.map(({ text }) => text).join(''))).toEqual(
      pieces.slice(0, -1).map(({ text }) => text),
    );
    expect(tokens(pieces)[0]).toEqual({
      text: tokenizer.tokenText(ids[0]!),
      bytes: [...Buffer.from(tokenizer.tokenText(ids[0]!))],
      logprob: -1,
      offset: 0,
      top: [{ text: '<|im_end|>', bytes: null, logprob: -0.5 }],
    });
  });

  it('are not there when nobody asked for them', () => {
    expect(new CompletionText(tokenizer, []).push(encode('one')[0]!, undefined).tokens).toEqual([]);
  });

  it('wait until a character is whole', () => {
    const pieces = run(encode('\u20ac'));
    expect(pieces.map(({ text, tokens: scored }) => [text, scored.length])).toEqual([
      ['', 0],
      ['', 0],
      ['\u20ac', 3],
      ['', 0],
    ]);
    expect(tokens(pieces).flatMap(({ bytes }) => bytes)).toEqual([0xe2, 0x82, 0xac]);
    expect(tokens(pieces).map(({ offset }) => offset)).toEqual([0, 0, 0]);
  });

  it('come out at the end for a character that never gets whole', () => {
    const pieces = run(encode('\u20ac').slice(0, 2));
    expect([shown(pieces), tokens(pieces).length]).toEqual(['\ufffd', 2]);
  });

  it('count characters, not their halves in UTF-16', () => {
    const pieces = run([...encode('\u{1f600}'), ...encode('a')]);
    expect(tokens(pieces).map(({ offset }) => offset)).toEqual([0, 0, 0, 0, 1]);
  });

  it('include tokens that are no text', () => {
    expect(tokens(run([IM_END]))).toMatchObject([{ text: '<|im_end|>', bytes: null }]);
  });

  it.each([
    ['a character', '\u20ac'],
    ['a word', 'STOP'],
  ])('tell nothing of a stop string: %s', (_case, stop) => {
    const before = encode('go ');
    const pieces = run([...before, ...encode(`${stop} on`)], [stop]);
    expect(shown(pieces)).toBe('go ');
    expect(tokens(pieces).map(({ text }) => text)).toEqual(before.map((id) => tokenizer.tokenText(id)));
  });

  it('cover the text shown, but for what a stop string cuts off, each token once and in order', () => {
    const textArbitrary = fc.string({
      unit: fc.constantFrom('a', 'b', 'e', ' ', '\u20ac', '\u{1f600}'),
      maxLength: 30,
    });
    const stopsArbitrary = fc.array(
      fc.string({ unit: fc.constantFrom('a', 'b', ' ', '\u20ac'), minLength: 1, maxLength: 3 }),
      {
        maxLength: 2,
      },
    );
    fc.assert(
      fc.property(textArbitrary, stopsArbitrary, (text, stops) => {
        const ids = encode(text);
        const pieces = run(ids, stops);
        const scored = tokens(pieces);
        expect(scored.map((token) => token.text)).toEqual(
          ids.slice(0, scored.length).map((id) => tokenizer.tokenText(id)),
        );
        const covered = Buffer.from(scored.flatMap(({ bytes }) => [...bytes!])).toString();
        expect(shown(pieces).startsWith(covered)).toBe(true);
        if (!pieces.at(-1)!.stopped) expect(covered).toBe(text);
        const next = ids[scored.length];
        if (next !== undefined)
          expect(covered.length + tokenizer.tokenText(next).length).toBeGreaterThan(shown(pieces).length);
        let released = '';
        for (const piece of pieces) {
          released += piece.text;
          for (const { offset } of piece.tokens) expect(offset).toBeLessThan([...released].length);
        }
      }),
    );
  });
});
