import type { GgufHeader } from '@pangalactic/models';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { runToEnd } from '../steps';
import { readVocabulary, vocabularyHeader } from '../vocabulary.fixture';
import { encodeSentencePiece } from './sentencepiece-encoder';
import { SentencePieceVocabulary } from './sentencepiece-vocabulary';

/** The definition, without any data structure: merge the best pair, the leftmost of equals, until there is none. */
function encodeByDefinition(text: string, scores: ReadonlyMap<string, number>): string[] {
  const symbols = [...text];
  for (;;) {
    let best = -1;
    for (let left = 0; left + 1 < symbols.length; left++) {
      const score = scores.get(symbols[left]! + symbols[left + 1]!);
      const highest = best < 0 ? -Infinity : scores.get(symbols[best]! + symbols[best + 1]!)!;
      if (score !== undefined && score > highest) best = left;
    }
    if (best < 0) return symbols;
    symbols.splice(best, 2, symbols[best]! + symbols[best + 1]!);
  }
}

const readSentencePiece = (header: GgufHeader) => new SentencePieceVocabulary(header, readVocabulary(header));

const letters = fc.constantFrom('a', 'b', 'c');
const piecesWithScores = fc.uniqueArray(
  fc.tuple(fc.string({ unit: letters, minLength: 1, maxLength: 4 }), fc.integer({ min: -3, max: 0 })),
  { selector: ([text]) => text, minLength: 1, maxLength: 20 },
);

const encode = (text: string, vocabulary: SentencePieceVocabulary) => runToEnd(encodeSentencePiece(text, vocabulary));

describe('encodeSentencePiece', () => {
  it('merges in the defined order, whatever the vocabulary and its ties', () => {
    fc.assert(
      fc.property(piecesWithScores, fc.string({ unit: letters, maxLength: 30 }), (pieces, text) => {
        const vocabulary = readSentencePiece(
          vocabularyHeader(pieces.map(([piece, score]) => [piece, undefined, score] as const)),
        );
        const expected = encodeByDefinition(text, new Map(pieces)).flatMap((symbol) => {
          const byteIds = Array.from(Buffer.from(symbol), (byte) => vocabulary.byteId(byte)!);
          return vocabulary.pieceId(symbol) ?? byteIds;
        });
        expect(encode(text, vocabulary)).toEqual(expected);
      }),
      { numRuns: 2000 },
    );
  });

  it('joins characters that are no pieces themselves', () => {
    const vocabulary = readSentencePiece(vocabularyHeader([['ab']]));
    expect(encode('ab', vocabulary)).toEqual([vocabulary.pieceId('ab')]);
  });

  it('spells unknown characters in bytes', () => {
    const vocabulary = readSentencePiece(vocabularyHeader([]));
    const bytes = Array.from(Buffer.from('🚀é'), (byte) => vocabulary.byteId(byte));
    expect(bytes).not.toContain(undefined);
    expect(encode('🚀é', vocabulary)).toEqual(bytes);
  });

  it('has one unknown token for a character when the vocabulary has no bytes', () => {
    const vocabulary = readSentencePiece(vocabularyHeader([['a']], { bytes: false }));
    expect(encode('a🚀', vocabulary)).toEqual([3, 0]);
  });

  it('never makes a control token or a byte token of text', () => {
    const vocabulary = readSentencePiece(vocabularyHeader([['<s'], ['<0x4'], ['1>']]));
    expect(encode('<s>', vocabulary)).not.toContain(1);
    expect(encode('<0x41>', vocabulary)).not.toContain(vocabulary.byteId(0x41));
  });

  it('takes about linear time: a quadratic search would not end', () => {
    const vocabulary = readSentencePiece(vocabularyHeader([['x'], ['xx'], ['xxxx']]));
    expect(encode('x'.repeat(400_000), vocabulary)).toEqual(new Array(100_000).fill(5));
  });
});
