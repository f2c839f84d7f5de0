import { mergeNeighbours } from '../merge-neighbours';
import type { Steps } from '../steps';
import type { SentencePieceVocabulary } from './sentencepiece-vocabulary';

/** Characters or symbols between two yields: well under a millisecond. */
const CHARACTERS_PER_STEP = 16_384;
const SYMBOLS_PER_STEP = 512;

/**
 * SentencePiece's byte-pair encoding: of all neighbours whose joined text is a piece, those with the highest score merge
 * first. What is no piece in the end is spelled in bytes.
 *
 * @param text well-formed, spaces already escaped
 */
export function* encodeSentencePiece(text: string, vocabulary: SentencePieceVocabulary): Steps<number[]> {
  const rankOf = (start: number, _middle: number, end: number) => {
    const piece = vocabulary.pieceId(text.slice(start, end));
    return piece === undefined ? undefined : vocabulary.rank(piece);
  };
  const starts = yield* mergeNeighbours(yield* characterStarts(text), rankOf);

  const ids: number[] = [];
  for (let symbol = 0; symbol + 1 < starts.length; symbol++) {
    appendSymbol(text.slice(starts[symbol], starts[symbol + 1]), vocabulary, ids);
    if (symbol % SYMBOLS_PER_STEP === SYMBOLS_PER_STEP - 1) yield;
  }
  return ids;
}

/** Where each code point begins, and the end. */
function* characterStarts(text: string): Steps<Int32Array> {
  const starts = new Int32Array(text.length + 1);
  let count = 0;
  for (let position = 0; position < text.length; count++) {
    starts[count] = position;
    position += text.codePointAt(position)! > 0xffff ? 2 : 1;
    if (count % CHARACTERS_PER_STEP === CHARACTERS_PER_STEP - 1) yield;
  }
  starts[count] = text.length;
  return starts.subarray(0, count + 1);
}

function appendSymbol(symbol: string, vocabulary: SentencePieceVocabulary, ids: number[]): void {
  const piece = vocabulary.pieceId(symbol);
  if (piece !== undefined) {
    ids.push(piece);
    return;
  }
  const bytes = Array.from(Buffer.from(symbol, 'utf8'), (byte) => vocabulary.byteId(byte));
  if (bytes.every((id) => id !== undefined)) ids.push(...bytes);
  else ids.push(vocabulary.unknownId);
}
