import { MinHeap } from './min-heap';
import type { Steps } from './steps';
import type { Vocabulary } from './vocabulary';

const NONE = -1;
/** Symbols of a text are numbered below this; times the ranks of a vocabulary, that still is an exact number. */
const SYMBOL_LIMIT = 2 ** 31;
/** Proposals, merges or tokens between two yields: well under a millisecond. */
const STEP_LENGTH = 512;
const CHARACTERS_PER_STEP = 16_384;

/**
 * SentencePiece's byte-pair encoding, in llama.cpp's order: of all neighbours whose joined text is a piece, those with the
 * highest score merge first, the leftmost of equals. What is no piece in the end is spelled in bytes.
 *
 * @param text well-formed, spaces already escaped
 */
export function* encodeSentencePiece(text: string, vocabulary: Vocabulary): Steps<number[]> {
  const { count, starts, ends, previous, next } = yield* splitCharacters(text);
  /** Merges by urgency: rank of the piece, then the left symbol. */
  const queue = new MinHeap();
  /** For each symbol, how urgently it wants to merge with its right neighbour: other entries of the queue are out of date. */
  const urgencies = new Float64Array(count).fill(Infinity);

  const propose = (left: number): void => {
    const right = next[left]!;
    const piece = right === NONE ? undefined : vocabulary.pieceId(text.slice(starts[left], ends[right]));
    const urgency = piece === undefined ? Infinity : vocabulary.rank(piece) * SYMBOL_LIMIT + left;
    urgencies[left] = urgency;
    if (piece !== undefined) queue.push(urgency);
  };

  let work = 0;
  for (let left = 0; left < count; left++) {
    propose(left);
    if (++work % STEP_LENGTH === 0) yield;
  }

  for (let urgency = queue.pop(); urgency !== undefined; urgency = queue.pop()) {
    if (++work % STEP_LENGTH === 0) yield;
    const left = urgency % SYMBOL_LIMIT;
    if (urgencies[left] !== urgency) continue;

    const right = next[left]!;
    const following = next[right]!;
    ends[left] = ends[right]!;
    next[left] = following;
    urgencies[right] = Infinity;
    if (following !== NONE) previous[following] = left;
    if (left !== 0) propose(previous[left]!);
    propose(left);
  }

  const ids: number[] = [];
  for (let symbol = count === 0 ? NONE : 0; symbol !== NONE; symbol = next[symbol]!) {
    appendSymbol(text.slice(starts[symbol], ends[symbol]), vocabulary, ids);
    if (++work % STEP_LENGTH === 0) yield;
  }
  return ids;
}

/** A doubly linked list with one symbol for each code point: where it starts and ends in the text, and its neighbours. */
function* splitCharacters(text: string) {
  const starts = new Int32Array(text.length);
  const ends = new Int32Array(text.length);
  const previous = new Int32Array(text.length);
  const next = new Int32Array(text.length);
  let count = 0;
  for (let position = 0; position < text.length; count++) {
    starts[count] = position;
    position += text.codePointAt(position)! > 0xffff ? 2 : 1;
    ends[count] = position;
    previous[count] = count - 1;
    next[count] = position < text.length ? count + 1 : NONE;
    if (count % CHARACTERS_PER_STEP === CHARACTERS_PER_STEP - 1) yield;
  }
  return { count, starts, ends, previous, next };
}

function appendSymbol(symbol: string, vocabulary: Vocabulary, ids: number[]): void {
  const piece = vocabulary.pieceId(symbol);
  if (piece !== undefined) {
    ids.push(piece);
    return;
  }
  const bytes = Array.from(Buffer.from(symbol, 'utf8'), (byte) => vocabulary.byteId(byte));
  if (bytes.every((id) => id !== undefined)) ids.push(...bytes);
  else ids.push(vocabulary.unknownId);
}
